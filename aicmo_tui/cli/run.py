"""``aicmo run``: one cron tick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from aicmo_tui.cli import output
from aicmo_tui.cli.sending import look_for_evidence, opt_outs_told, run_record, send_and_hear, unread_told, waiting_told
from aicmo_tui.cli.verb import Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.publishing.inbox.optouts import OptOutReport
    from aicmo.publishing.sending.evidence import EvidenceReport
    from aicmo.publishing.sending.outbox import RunReport

LOCKED = 75


@verb(changes=True)
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop then, however much is left.")
@click.option("--fail-if-locked", is_flag=True, help="Exit with 75 when another process is sending.")
def run(run: Run, max_seconds: float | None, fail_if_locked: bool) -> int:
    """Do everything that is due, once: read who opted out by mail, send what is queued, retry what was deferred, begin
    what was scheduled, look for what may or may not have gone.

    Safe to start at any time and as often as you like: one process sends, any other says locked and changes nothing.
    """
    from aicmo.errors import Interrupted
    from aicmo.log import logging_to
    from aicmo.publishing.sending.outbox import STOPPED_BY_HAND

    if run.dry_run:
        _would_do(run)
        return 0

    async def tick() -> tuple[OptOutReport, RunReport, EvidenceReport]:
        async with run.open_workspace() as workspace:
            await workspace.publishing.note_run()
            outbox = workspace.publishing.outbox(what="aicmo run")
            with logging_to(workspace.paths.log_file):
                left, report = await send_and_hear(workspace, outbox, patience_s=0, max_seconds=max_seconds)
                return left, report, await look_for_evidence(workspace, report)

    left, report, evidence = run_async(tick())
    counted = ", ".join(f"{name} {count:,}" for name, count in report.counts.items())
    ended = {
        "done": "" if counted else "nothing to do",
        "waiting": waiting_told(report),
        "locked": f"locked: {report.reason}",
        "stopped": f"stopped ({report.reason}); aicmo run goes on",
    }[report.status]
    text = "; ".join(filter(None, (counted, ended)))
    if report.recovered_unknown:
        text += f"; {report.recovered_unknown} left on their way by an earlier run are unknown"
    if evidence.settled:
        text += f"; {evidence.settled} unknown went, as {', '.join(evidence.looked_in)} shows"
    lines = [text, *opt_outs_told(left), *([f"▲ {report.warning}"] if report.warning else [])]
    output.document({"schema": "aicmo.run/1", **run_record(left, report, evidence)}, run.form, lines)
    if report.status == "stopped" and report.reason == STOPPED_BY_HAND:
        return Interrupted.exit_code
    return LOCKED if report.status == "locked" and fail_if_locked else 0


def _would_do(run: Run) -> None:
    """In the order in which it would be done. No mailbox and no server is asked."""
    from aicmo.errors import ConfigInvalid

    with run.open_workspace() as workspace:
        due, beginning = workspace.publishing.due_now()
        looking = workspace.publishing.looks_due()
        warnings = [copied] if (copied := workspace.publishing.looks_copied()) else []
        try:
            reading = workspace.publishing.opt_outs().mailboxes()
        except ConfigInvalid as error:
            reading, warnings = (), [*warnings, unread_told(error.message)]
    record = {
        "schema": "aicmo.run/1",
        "status": "dry_run",
        "reading": list(reading),
        "due": due,
        "beginning": beginning,
        "looking": looking,
        "warnings": warnings,
    }
    messages = "1 message is due" if due == 1 else f"{due:,} messages are due"
    campaigns = "1 scheduled campaign" if beginning == 1 else f"{beginning:,} scheduled campaigns"
    told = []
    if reading:
        told.append(f"First the mail in {' and '.join(reading)} would be read: who opts out there gets nothing more.")
    told.append(f"{messages}, {campaigns} would begin.")
    if looking:
        told.append(f"{looking:,} that may or may not have gone would be looked for.")
    output.document(record, run.form, [*told, *(f"▲ {each}" for each in warnings)])
