"""``aicmo import``: what was imported, and how it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.people import agree, left_alone
from aicmo_tui.cli.verb import AT_MOST, PARTLY_FAILED, ROW_ID, Run, verb

if TYPE_CHECKING:
    from aicmo.crm.imports import ImportRecord


@click.group(name="import")
def import_() -> None:
    """What was imported; bring people in with: aicmo contact import FILE"""


@verb(import_, "list", lists=True)
@click.option("--limit", type=AT_MOST, help="At most so many; 20 on a terminal.")
def list_(run: Run, limit: int | None) -> None:
    """Every import, the newest first."""
    with run.open_workspace() as workspace:
        found = [_record(each) for each in workspace.imports.list(limit=limit or (20 if run.form.is_text else -1))]
    columns = ["id", "started_at", "source", "state", "rows", "created", "updated", "rejected"]
    numbers = ["id", "rows", "created", "updated", "rejected"]
    output.rows(found, run.form, columns, empty="Nothing was imported yet.", numbers=numbers)


@verb(import_)
@click.argument("number", metavar="ID", type=ROW_ID)
def show(run: Run, number: int) -> None:
    """One import: its counts, and how many of those it created are still there."""
    with run.open_workspace() as workspace:
        record = _record(workspace.imports.get(number))
        record["still_there"] = workspace.imports.still_there(number)
    text = [f"{key.replace('_', ' ')}: {value}" for key, value in record.items() if value is not None]
    output.document(record, run.form, text)


@verb(import_, changes=True)
@click.argument("number", metavar="ID", type=ROW_ID)
def undo(run: Run, number: int) -> int:
    """Delete whom an import created and put back what it changed. What changed since stays, is named, and makes it exit
    5. Who opted out stays opted out."""
    with run.open_workspace() as workspace:
        there = workspace.imports.still_there(number)
        source = workspace.imports.get(number).imported.source
        agree(run, f"Undo the import of {source}, and delete the {there:,} people it created?")
        undone = workspace.imports.undo(number)
    kept = [{"email": each.email, "field": each.field, "now": each.now, "wanted": each.wanted} for each in undone.kept]
    record = {
        "schema": "aicmo.import.undo/1",
        "status": "dry_run" if run.dry_run else "partly" if kept else "done",
        "id": number,
        "people": undone.people,
        "kept": kept,
        "kept_unnamed": undone.unnamed,
    }
    whom = "1 person" if undone.people == 1 else f"{undone.people:,} people"
    text = [f"{'Would be undone' if run.dry_run else 'Undone'} for {whom}: {undone.change.phrase}"]
    text += left_alone(undone.kept)
    if undone.unnamed:
        text.append(f"▲ {undone.unnamed:,} more people stay, because something happened to them since")
    output.document(record, run.form, text)
    return PARTLY_FAILED if kept else 0


def _record(each: ImportRecord) -> dict[str, Any]:
    found = each.imported
    names = ("rows", "created", "updated", "unchanged", "skipped", "rejected", "conflicts", "opted_out", "suppressed")
    return {
        "id": found.id,
        "source": found.source,
        "state": each.state,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "undone_at": found.undone_at,
        **{name: found.counts.get(name, 0) for name in names},
    }
