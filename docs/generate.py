"""Bring the documentation up to date with the program.

    python docs/generate.py           rewrite what is generated
    python docs/generate.py --check   exit 1 if the command line's help or an example's source has changed

Generated are ``docs/cli.md``, the pictures of the graphs, and in every page what stands between
``<!-- source FILE -->`` or ``<!-- output FILE -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"<!-- (source|output) (\S+) -->\n.*?<!-- end -->", re.DOTALL)


def command_line() -> str:
    """Every verb's help."""
    from click import Command, Context, Group

    from unrolled.cli.main import app

    pages = ["# The command line\n\nGenerated from the program by `make docs`.\n"]

    def add(command: Command, names: tuple[str, ...]) -> None:
        context = Context(command, info_name=" ".join(names), max_content_width=80, terminal_width=80)
        context.help_option_names = ["-h", "--help"]
        pages.append(f"## {' '.join(names)}\n\n```\n{command.get_help(context)}\n```\n")
        if isinstance(command, Group):
            for name, sub in sorted(command.commands.items()):
                add(sub, (*names, name))

    add(app, ("unrolled",))
    for name in other_tasks():
        pages.append(f"## Task {name}\n\n```\n{settings_of(name)}\n```\n")
    return "\n".join(pages)


def other_tasks() -> list[str]:
    """The tasks whose settings the help of ``train`` and ``sample`` shows only when asked."""
    from unrolled.tasks.registry import DEFAULT, task_names

    return [name for name in task_names() if name != DEFAULT]


def settings_of(task: str) -> str:
    """The parts of the help of ``train`` and ``sample`` that belong to a task."""
    from click import Context

    from unrolled.cli.settings import settings
    from unrolled.cli.train import train
    from unrolled.tasks.registry import options_class, sample_class

    context = Context(train, info_name="train", max_content_width=80, terminal_width=80)
    formatter = context.make_formatter()
    for verb, kind in (("train", options_class(task)), ("sample", sample_class(task))):
        records = [record for one in settings(kind) if (record := one.get_help_record(context)) is not None]
        if records:
            with formatter.section(f"unrolled {verb}"):
                formatter.write_dl(records)
    return formatter.getvalue().strip()


def filled(page: str, run: bool) -> str:
    """The page with its sources up to date, and its outputs too if the examples are to run."""

    def fill(match: re.Match) -> str:
        kind, file = match.groups()
        if kind == "source":
            source = (ROOT / file).read_text(encoding="utf-8")
            return f"<!-- source {file} -->\n```python\n{source}```\n<!-- end -->"
        if not run:
            return match.group()
        done = subprocess.run([sys.executable, ROOT / file], capture_output=True, text=True, check=True)
        return f"<!-- output {file} -->\n```\n{done.stdout}```\n<!-- end -->"

    return BLOCK.sub(fill, page)


def draw_graphs() -> None:
    """The pictures of ``docs/graphs.md`` and of the README."""
    from unrolled import Bidirectional, Embedding, GRUCell, Linear, LSTMCell, Model, OneHot, Softmax, Stack
    from unrolled.insight.figures import draw_graph

    both = Stack([Bidirectional(GRUCell(4, 8), GRUCell(4, 8))])
    graphs = {
        "many-to-many": Model(OneHot(4), Stack([LSTMCell(4, 8)]), Softmax(8, 2)),
        "many-to-one": Model(Linear(1, 4), both, Softmax(16, 2), "many-to-one"),
        "one-to-many": Model(Linear(7, 4), Stack([LSTMCell(4, 8)]), Softmax(8, 9), "one-to-many", Embedding(9, 4)),
        "one-to-one": Model(Linear(2, 4), Stack([LSTMCell(4, 8)]), Softmax(8, 2), "one-to-one"),
    }
    two = Model(OneHot(4), Stack([LSTMCell(4, 8), LSTMCell(8, 8)]), Softmax(8, 4))
    draw_graph(two).savefig(DOCS / "images" / "unrolled.png")
    for name, model in graphs.items():
        draw_graph(model, title=name).savefig(DOCS / "images" / f"{name}.png")


def main() -> None:
    check = "--check" in sys.argv
    pages = {DOCS / "cli.md": command_line()}
    for page in sorted(DOCS.glob("*.md")):
        if page.name != "cli.md":
            pages[page] = filled(page.read_text(encoding="utf-8"), run=not check)
    if check:
        old = [p for p, text in pages.items() if not p.exists() or p.read_text(encoding="utf-8") != text]
        sys.exit(f"out of date: {', '.join(p.name for p in old)}; run make docs" if old else 0)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    draw_graphs()


if __name__ == "__main__":
    main()
