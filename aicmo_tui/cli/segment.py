"""``aicmo segment``: queries under a name, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.people import QUERY, contact_record
from aicmo_tui.cli.verb import Run, verb

if TYPE_CHECKING:
    from aicmo.crm.segments import SegmentState
    from aicmo.store.segments import Segment

_COLUMNS = ["name", "count", "joined", "left", "query"]


@click.group()
def segment() -> None:
    """Queries under a name, always as of now: aicmo contact list 'segment:"NAME"' says who that is."""


@verb(segment, "list", lists=True)
def list_(run: Run) -> None:
    """Every segment: how many, and how many joined and left since it was made or remembered."""
    with run.open_workspace() as workspace:
        found = [_record(each) for each in workspace.segments.list()]
    empty = "No segment yet. Make one with: aicmo segment create NAME QUERY"
    output.rows(found, run.form, _COLUMNS, empty=empty, numbers=["count", "joined", "left"])


@verb(segment, changes=True, epilog=QUERY)
@click.argument("name")
@click.argument("query", nargs=-1)
def create(run: Run, name: str, query: tuple[str, ...]) -> None:
    """Save a query under a name, and remember who is in it."""
    with run.open_workspace() as workspace:
        _tell(run, "create", workspace.segments.create(name, " ".join(query)))


@verb(segment)
@click.argument("name")
def show(run: Run, name: str) -> None:
    """A segment's query and counts."""
    with run.open_workspace() as workspace:
        state = workspace.segments.get(name)
    record = _record(state)
    output.document(record, run.form, [*_told(state), f"since {record['looked_at']}"])


@verb(segment, changes=True)
@click.argument("name")
@click.option("--query", metavar="QUERY", help="What it asks from now on.")
@click.option("--name", "new_name", metavar="NAME", help="What it is called from now on.")
def edit(run: Run, name: str, query: str | None, new_name: str | None) -> None:
    """Change a segment's query or name; the counts say who joins and leaves by it."""
    with run.open_workspace() as workspace:
        _tell(run, "edit", workspace.segments.edit(name, query=query, new_name=new_name))


@verb(segment, changes=True)
@click.argument("name")
def delete(run: Run, name: str) -> None:
    """Forget a segment; its people stay."""
    with run.open_workspace() as workspace:
        deleted: Segment = workspace.segments.delete(name)
    status, said = ("dry_run", "would be") if run.dry_run else ("done", "is")
    record = {"schema": "aicmo.segment.delete/1", "status": status, "name": deleted.name, "query": deleted.query}
    output.document(record, run.form, [f"{deleted.name} {said} forgotten; it asked: {deleted.query or 'everybody'}"])


@verb(segment, lists=True)
@click.argument("name")
def diff(run: Run, name: str) -> None:
    """Who joined and who left since it was made or remembered."""
    with run.open_workspace() as workspace:
        found = (
            {"change": "joined" if each.joined else "left", **contact_record(each.contact)}
            for each in workspace.segments.moves(name)
        )
        columns = ["change", "email", "first_name", "last_name", "company", "stage"]
        output.rows(found, run.form, columns, empty="Nobody joined, nobody left.")


@verb(segment, changes=True)
@click.argument("name")
def remember(run: Run, name: str) -> None:
    """Count who joins and who leaves from now on; says who did until now."""
    with run.open_workspace() as workspace:
        _tell(run, "remember", workspace.segments.remember(name))


def _tell(run: Run, name: str, state: SegmentState) -> None:
    record = {"schema": f"aicmo.segment.{name}/1", "status": "dry_run" if run.dry_run else "done", **_record(state)}
    output.document(record, run.form, [*_told(state), *(["Nothing was changed."] if run.dry_run else [])])


def _record(state: SegmentState) -> dict[str, Any]:
    segment = state.segment
    return {
        "name": segment.name,
        "query": segment.query,
        "count": state.count,
        "joined": state.joined,
        "left": state.left,
        "problem": state.problem or None,
        "created_at": segment.created_at,
        "looked_at": segment.looked_at,
    }


def _told(state: SegmentState) -> list[str]:
    counts = f"{state.count:,} now, {state.joined:,} joined, {state.left:,} left"
    return [f"{state.segment.name}: {state.segment.query or 'everybody'}", state.problem or counts]
