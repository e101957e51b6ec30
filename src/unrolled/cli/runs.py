"""The verb ``runs``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.shared import NAME, json_option
from unrolled.wording import columns, short, wrapped


@click.command(epilog="Example: unrolled runs runs")
@click.argument("folder", type=NAME, default=".")
@json_option
def runs(folder: str, as_json: bool) -> None:
    """List the runs in FOLDER, two levels deep.

    Shows the model, progress and validation score of each run: its loss, or what its
    task chooses the best weights by.
    """
    from unrolled.runs.folder import find_runs

    rows = [_row(run) for run in find_runs(folder)]
    if as_json:
        from json import dumps

        for row in rows:
            print(dumps(row))
        return
    if not rows:
        print(f"There are no runs in {folder}.")
        return
    _print(rows)


def _print(rows: list[dict[str, Any]]) -> None:
    """A line for each run; two where the terminal is narrow."""
    width = max(len("run"), *(len(row["run"]) for row in rows))
    states = max(12, *(len(row["state"]) for row in rows))
    all_scores = [_score(row) for row in rows]
    scores = max(12, *map(len, all_scores))
    is_wide = columns() >= 80 or width + states + scores + 24 <= columns()
    if is_wide:
        print(f"{'run':<{width}}  {'model':<18} {'state':<{states}} {'validation':>{scores}}")
    for row, score in zip(rows, all_scores, strict=True):
        if is_wide:
            print(f"{row['run']:<{width}}  {row['model']:<18} {row['state']:<{states}} {score:>{scores}}".rstrip())
        else:
            facts = [row["model"], row["state"], f"validation {score}" if score else ""]
            print(wrapped(row["run"] + "\n"), wrapped(", ".join(filter(None, facts)), "  "), sep="\n")
    if any(row["estimate"] for row in rows):
        print(wrapped("~ estimated on excerpts of the validation part; all of it is scored at the end"))


def _score(row: dict[str, Any]) -> str:
    """The validation score, with its name where that is not the loss; empty where there is none yet."""
    if row["validation"] is None:
        return ""
    value = row["validation"]
    score = f"{'~' * row['estimate']}{f'{value:.1%}' if row['percent'] else short(value, 4)}"
    return score if row["criterion"] == "loss" else f"{row['criterion'].replace('_', ' ')} {score}"


def _row(run: Any) -> dict[str, Any]:
    from unrolled.errors import RunError

    row = {
        "run": str(run.path),
        "task": None,
        "model": "",
        "state": "damaged",
        "budget": 1,
        "update": 0,
        "criterion": "loss",
        "percent": False,
        "validation": None,
        "estimate": False,
    }
    try:
        config = run.config()
        model = config["model"]
        cell = str(model.get("cell", "?")).rpartition(":")[2]
        row |= {
            "task": config["task"],
            "criterion": str(config.get("criterion", "loss")),
            "percent": bool(config.get("percent", False)),
            "model": f"{cell} {model.get('layers', '?')} x {model.get('hidden', '?')}",
        }
        if not run.has_checkpoint:
            return row | {"state": "begun"}
        about, budget = run.checkpoint_about(), len(run.earlier())
        has_begun = about.get("budget", 0) == budget
        state = "finished" if run.finished else f"{about['share'] if has_begun else 0:.0%}"
        if budget:
            state = f"finished {budget + 1} times" if run.finished else f"{state}, finished before"
        row |= {"state": state, "budget": budget + 1}
        estimate = {"validation": about["best"], "estimate": about["best"] is not None}
        row |= {"update": about["update"]} | estimate
        for event in run.history():
            if event["event"] == "finished" and "validation" in event:
                row |= {"validation": event["validation"].get(row["criterion"]), "estimate": False}
            elif event["event"] == "further":
                row |= estimate
    except (RunError, KeyError, TypeError):
        row["state"] = "damaged"
    return row
