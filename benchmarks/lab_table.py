"""The table of the laboratory as Markdown, from the outcomes that `unrolled lab all` has kept.

    python benchmarks/lab_table.py [DIR]       print it; DIR is what --out was, by default lab
    python benchmarks/lab_table.py DIR --docs  put it into docs/lab.md, between its marks

Settings of which no seed has been run are left out, and a setting with fewer seeds than it should have says so.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

from unrolled.lab.catalogue import TITLES, experiment
from unrolled.lab.experiment import Setting
from unrolled.lab.running import Results, Row, number, row

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lab.md"
BLOCK = re.compile(r"<!-- table -->\n.*?<!-- end of table -->", re.DOTALL)


def rows(folder: Path) -> list[tuple[Row, int, float]]:
    """Every line, the seeds it should have, and the seconds of all its seeds."""
    made = []
    for name in TITLES:
        one = experiment(name)
        kept = Results(one, folder)
        for setting in one.settings:
            found = [kept.get(setting, one.first_seed + k) for k in range(one.seeds_of(setting))]
            outcomes = [outcome for outcome in found if outcome is not None]
            if outcomes:
                made.append((row(one, setting, outcomes), one.seeds_of(setting), sum(o.seconds for o in outcomes)))
    return made


def markdown(lines: list[tuple[Row, int, float]]) -> str:
    """The table, a line a setting; what is as in the line above is not said again."""
    text = [
        "| experiment | cell | solved | sequences | seconds | score | by chance | the paper |",
        "|---|---|--:|--:|--:|--:|--:|---|",
    ]
    last = said = ""
    for r, wanted, _ in lines:
        what = ", ".join(part for part in (r.name, Setting(r.cell, r.lag, r.variant).where) if part)
        few = "" if r.seeds == wanted else f" (of {wanted} to run)"
        count = "-" if math.isinf(r.median_sequences) else f"{r.median_sequences:,.0f}"
        cells = [what if what != last else "", r.cell, f"{r.solved} of {r.seeds}{few}", count, number(r.seconds)]
        paper = r.paper if r.paper != said else ""
        text.append("| " + " | ".join([*cells, number(r.score), number(r.chance), paper]) + " |")
        last, said = what, r.paper
    hours = sum(seconds for *_, seconds in lines) / 3600
    text.append(f"\nAll seeds together took {hours:.1f} hours of one core.")
    return "\n".join(text)


def main() -> None:
    given = [a for a in sys.argv[1:] if not a.startswith("--")]
    folder = Path(given[0] if given else "lab")
    if not folder.is_dir():
        sys.exit(f"{folder}: there is no such folder; run unrolled lab all --out {folder} first")
    table = markdown(rows(folder))
    if "--docs" in sys.argv:
        page = PAGE.read_text(encoding="utf-8")
        filled = BLOCK.sub(lambda _: f"<!-- table -->\n{table}\n<!-- end of table -->", page)
        PAGE.write_text(filled, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
