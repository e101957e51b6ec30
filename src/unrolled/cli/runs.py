"""The verb ``runs``."""

from __future__ import annotations

from typing import Any

import click

from unrolled.cli.shared import json_option


@click.command(epilog="Example: unrolled runs runs")
@click.argument("folder", default=".")
@json_option
def runs(folder: str, as_json: bool) -> None:
    """List the runs in FOLDER, two levels deep.

    What they are, how far they came, how good they are.
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
    width = max(len("run"), *(len(row["run"]) for row in rows))
    states = max(12, *(len(row["state"]) for row in rows))
    print(f"{'run':<{width}}  {'model':<18} {'state':<{states}} {'validation':>10}")
    for row in rows:
        loss = "" if row["validation_loss"] is None else f"{row['validation_loss']:.4f}"
        print(f"{row['run']:<{width}}  {row['model']:<18} {row['state']:<{states}} {loss:>10}")


def _row(run: Any) -> dict[str, Any]:
    from unrolled.errors import RunError

    row = {
        "run": str(run.path),
        "task": None,
        "model": "",
        "state": "damaged",
        "budget": 1,
        "update": 0,
        "validation_loss": None,
    }
    try:
        config = run.config()
        task = config.get(config["task"], {})
        cell = str(task.get("cell", "?")).rpartition(":")[2]
        row |= {
            "task": config["task"],
            "model": f"{cell} {task.get('layers', '?')} x {task.get('hidden', '?')}",
        }
        if not run.has_checkpoint:
            return row | {"state": "begun"}
        about, budget = run.checkpoint_about(), len(run.earlier())
        has_begun = about.get("budget", 0) == budget
        state = "finished" if run.finished else f"{about['share'] if has_begun else 0:.0%}"
        row |= {"state": state + (f", budget {budget + 1}" if budget else ""), "budget": budget + 1}
        row |= {"update": about["update"], "validation_loss": about["best_loss"]}
        for event in run.history():
            if event["event"] == "finished" and "validation" in event:
                row["validation_loss"] = event["validation"]["loss"]
            elif event["event"] == "further":
                row["validation_loss"] = about["best_loss"]
    except (RunError, KeyError, TypeError):
        row["state"] = "damaged"
    return row
