"""``aicmo campaign resume``: go on where it was paused; after a copy or a restore, only with open eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import parse_rfc3339
from aicmo.errors import ApprovalNeeded
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from datetime import datetime

    from aicmo.publishing.sending.evidence import EvidenceReport
    from aicmo.workspace import Workspace


@verb(changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def resume(run: Run, id_: int) -> None:
    """Go on where it was paused; aicmo run sends the rest. One that was paused before its time goes back to it.

    After the database was copied or restored, first looks in your mailboxes for what has gone meanwhile, and asks about
    the rest.
    """
    from aicmo_tui.cli.campaign import _record, _told

    with run.open_workspace() as workspace:
        stopped = workspace.publishing.stopped_as_copy(id_)
    report = run_async(_look(run, id_)) if stopped else None
    with run.open_workspace() as workspace:
        name = workspace.publishing.campaign(id_).name
        if report is not None:
            for line in report.told_of_waiting:
                run.say(line)
            if not run.confirm(f"Go on with {name}?"):
                raise ApprovalNeeded(
                    f"Nobody agreed, so {name} stays paused.", hint="Answer y on a terminal, or say --yes."
                )
        planned_at = None if report else _planned(workspace, id_)
        if planned_at:
            found = workspace.publishing.start(id_, at=planned_at)
        else:
            found = workspace.publishing.resume(id_, sure=report is not None)
        record: dict[str, Any] = {"schema": "aicmo.campaign.resume/1", **_record(workspace, found)}
    told = _told(record)
    if report is not None:
        from aicmo_tui.cli.sending import evidence_record

        record["evidence"] = evidence_record(report)
    if run.dry_run:
        record |= {"status": "dry_run", "becomes": found.status.value}
        told.append("Nothing was changed.")
    output.document(record, run.form, told)


def _planned(workspace: Workspace, id_: int) -> datetime | None:
    """The time it was given, where it was paused before it began and that is still to come."""
    publishing = workspace.publishing
    paused = publishing.campaign(id_)
    if paused.status != "paused" or not paused.scheduled_at or publishing.counts(id_).audience:
        return None
    at = parse_rfc3339(paused.scheduled_at)
    return at if at > workspace.clock.now() else None


async def _look(run: Run, id_: int) -> EvidenceReport:
    async with run.open_workspace() as workspace:
        report: EvidenceReport = await workspace.publishing.look_for_waiting(id_)
        return report
