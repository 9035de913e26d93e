"""``aicmo change``, ``aicmo undo``, ``aicmo redo``: what was changed, and how it is taken back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.people import left_alone
from aicmo_tui.cli.verb import AT_MOST, PARTLY_FAILED, ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.store.undoing import Reverted


@click.group()
def change() -> None:
    """What was changed of people, each a step that undo takes back."""


@verb(change, "list", lists=True)
@click.option("--limit", type=AT_MOST, help="At most so many; 20 on a terminal.")
def list_(run: Run, limit: int | None) -> None:
    """The steps of undo, the latest first. The last 200 are kept, and every import and merge."""
    with run.open_workspace() as workspace:
        found = workspace.history.list(limit=limit or (20 if run.form.is_text else -1))
    columns = ["id", "at", "summary", "actor", "undone_at"]
    output.rows(map(asdict, found), run.form, columns, empty="Nothing was changed yet.", numbers=["id"])


@verb(changes=True)
@click.argument("number", metavar="[ID]", type=ROW_ID, required=False)
def undo(run: Run, number: int | None) -> int:
    """Take back the last thing you changed, or the change with that number. Consent and opt-outs stay. Exits 5 when
    something had to stay."""
    with run.open_workspace() as workspace:
        return _tell(run, "undo", "Undone", workspace.history.undo(number))


@verb(changes=True)
@click.argument("number", metavar="[ID]", type=ROW_ID, required=False)
def redo(run: Run, number: int | None) -> int:
    """Do again what was undone last, or the change with that number. Exits 5 when something had to stay."""
    with run.open_workspace() as workspace:
        return _tell(run, "redo", "Done again", workspace.history.redo(number))


def _tell(run: Run, name: str, done: str, turned: Reverted | None) -> int:
    """What a person changed since stays as it is, and is named."""
    from aicmo.crm.history import NOT_TAKEN_BACK, outcome

    kept = turned.kept if turned else ()
    status = "dry_run" if run.dry_run else "nothing" if turned is None else "partly" if kept else "done"
    record = {
        "schema": f"aicmo.{name}/1",
        "status": status,
        "id": turned.change.id if turned else None,
        "summary": turned.change.summary if turned else None,
        "people": turned.people if turned else 0,
        "kept": [{"email": each.email, "field": each.field, "now": each.now, "wanted": each.wanted} for each in kept],
    }
    if turned is None:
        text = [f"There is nothing to {name}."]
    else:
        text = [outcome(f"Would be {done.lower()}" if run.dry_run else done, turned)]
    text += left_alone(kept)
    output.document(record, run.form, text)
    if turned is None:
        run.say(NOT_TAKEN_BACK)
    return PARTLY_FAILED if kept else 0
