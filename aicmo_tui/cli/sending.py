"""Send in the foreground: a progress bar while it goes, and one honest sentence when it ends."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

from aicmo.errors import AicmoError, AuthNeeded, Interrupted, OutcomeUnknown, ProviderUnavailable
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import PARTLY_FAILED, Run, run_async

if TYPE_CHECKING:
    from aicmo.gateways.status import HealthReport, ProviderHealth
    from aicmo.publishing import Counts
    from aicmo.publishing.inbox.optouts import OptOutReport
    from aicmo.publishing.sending.evidence import EvidenceReport
    from aicmo.publishing.sending.outbox import Outbox, RunReport
    from aicmo.workspace import Workspace

PATIENCE_S = 60.0
"""``--wait`` waits this long for what is due later or a server that is closed; after that ``aicmo run`` takes over."""
REDRAW_S = 0.25


def send_and_watch(run: Run, campaign_id: int, *, schema: str) -> int:
    """Send until the campaign has finished, or nothing can be done for a minute; the exit code says which."""
    left, report, evidence, record, obstacle = run_async(_send(run, campaign_id))
    counts = record["counts"]
    document = {"schema": schema, **record, "run": run_record(left, report, evidence)}
    output.document(document, run.form, [*told(record, report), *(f"  {line}" for line in opt_outs_told(left))])
    if report.status == "stopped":
        run.say("Interrupted; what was not sent is still queued. Go on with: aicmo run")
        return Interrupted.exit_code
    if counts["unknown"]:
        return OutcomeUnknown.exit_code
    if obstacle and record["status"] == "running" and (counts["queued"] or counts["deferred"]):
        return obstacle.exit_code
    return PARTLY_FAILED if counts["failed"] or counts["bounced"] else 0


def run_record(left: OptOutReport, report: RunReport, evidence: EvidenceReport) -> dict[str, Any]:
    """The looks for opt-outs, the run of the outbox, and the search for evidence after it, as JSON tells them."""
    from aicmo.clock import rfc3339

    return {
        "status": report.status,
        "reason": report.reason or None,
        "next_at": rfc3339(report.next_at) if report.next_at else None,
        "counts": dict(report.counts),
        "recovered_unknown": report.recovered_unknown,
        "opted_out": left.opted_out,
        "warnings": [each for each in (report.warning, unread_told(left.why_not)) if each],
        "evidence": evidence_record(evidence),
    }


def opt_outs_told(left: OptOutReport) -> list[str]:
    """Who left, and why nobody could look; a line each."""
    people = "1 person" if left.opted_out == 1 else f"{left.opted_out:,} people"
    lines = [f"{people} opted out by mail"] if left.opted_out else []
    return [*lines, f"▲ {unread_told(left.why_not)}"] if left.why_not else lines


def unread_told(why_not: str) -> str:
    return f"Not all mail could be read for opt-outs: {why_not}" if why_not else ""


def waiting_told(report: RunReport) -> str:
    """What it waits for, and from when it can go on, where that is known."""
    when = f"; aicmo run goes on from {output.moment(report.next_at)}" if report.next_at else ""
    return f"waiting: {report.reason.removeprefix('email_sending: ')}{when}"


def evidence_record(report: EvidenceReport) -> dict[str, Any]:
    return {
        "asked": report.asked,
        "settled": report.settled,
        "left": report.left,
        "looked_in": list(report.looked_in),
        "why_not": report.why_not or None,
    }


async def look_for_evidence(workspace: Workspace, report: RunReport) -> EvidenceReport:
    """After sending, so that it delays none: look for the unknown whose moment has come. Not after a stop, and not
    where another process sends, because that one does."""
    from aicmo.publishing.sending.evidence import EvidenceReport

    if report.status in ("stopped", "locked"):
        return EvidenceReport()
    return await workspace.publishing.evidence().look()


def told(record: dict[str, Any], report: RunReport) -> list[str]:
    from aicmo_tui.cli.campaign import COUNTED

    counts = record["counts"]
    parts = "  ".join(f"{name} {counts[name]:,}" for name in COUNTED if counts[name])
    why = f" ({record['pause_reason']})" if record["pause_reason"] else ""
    lines = [f"{record['name']} · {record['status']}{why}", f"  {parts}  = {counts['audience']:,}"]
    if report.warning:
        lines.append(f"  ▲ {report.warning}")
    if record["status"] == "running":  # else what waits is another campaign
        if report.status == "waiting":
            lines.append(f"  {waiting_told(report)}")
        elif report.status == "locked":
            lines.append(f"  locked: {report.reason}; it sends this one too")
    if counts["failed"]:
        lines.append(f"  Who did not get it, and why: aicmo campaign deliveries {record['id']} --state failed")
    if counts["unknown"]:
        lines.append(f"  ? {counts['unknown']:,} may or may not have gone: aicmo campaign show {record['id']}")
    return lines


async def _send(
    run: Run, campaign_id: int
) -> tuple[OptOutReport, RunReport, EvidenceReport, dict[str, Any], type[AicmoError] | None]:
    import asyncio

    from aicmo.log import logging_to
    from aicmo_tui.cli.campaign import _record

    async with run.open_workspace() as workspace:
        outbox = workspace.publishing.outbox(what=f"aicmo campaign start {campaign_id} --wait")
        watcher = asyncio.create_task(_watch(run, workspace, campaign_id))
        try:
            with logging_to(workspace.paths.log_file):
                left, report = await send_and_hear(workspace, outbox, patience_s=PATIENCE_S)
                evidence = await look_for_evidence(workspace, report)
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
        record = _record(workspace, workspace.publishing.campaign(campaign_id))
        return left, report, evidence, record, _obstacle(workspace.health())


def _obstacle(health: HealthReport) -> type[AicmoError] | None:
    """Why no mail server can be used: a refused credential, or something that passes. ``None`` when one can."""
    chain = [
        provider for each in health.capabilities if each.capability == "email_sending" for provider in each.providers
    ]
    if any(not provider.reason and not _failed_last(provider) for provider in chain):
        return None
    return AuthNeeded if any(provider.reason == "auth" for provider in chain) else ProviderUnavailable


def _failed_last(provider: ProviderHealth) -> bool:
    """Whether its last call failed, though not yet often enough for it to be closed."""
    failed, served = provider.last_error_at, provider.last_success_at
    return failed is not None and (served is None or failed > served)


async def send_and_hear(
    workspace: Workspace, outbox: Outbox, *, patience_s: float, max_seconds: float | None = None
) -> tuple[OptOutReport, RunReport]:
    """Run the outbox. Who opts out by mail is heard first, and every minute while it runs: who leaves gets nothing
    more."""
    from aicmo.publishing.inbox.listening import Listening

    listening = Listening(workspace.publishing.opt_outs().look, clock=workspace.clock)
    async with listening.meanwhile():
        report = await stoppable(outbox, patience_s=patience_s, max_seconds=max_seconds)
    return listening.heard, report


async def stoppable(outbox: Outbox, *, patience_s: float, max_seconds: float | None = None) -> RunReport:
    """Run the outbox; the first Ctrl-C or SIGTERM lets what is on its way settle, a second one cuts it off."""
    import asyncio

    from aicmo.one_core import on_one_core

    loop, running = asyncio.get_running_loop(), asyncio.current_task()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked and running is not None:
            running.cancel()
        asked = True
        outbox.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        with on_one_core():
            return await outbox.run(patience_s=patience_s, max_seconds=max_seconds)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _watch(run: Run, workspace: Workspace, campaign_id: int) -> None:
    """Redraw the progress bar on a terminal's stderr."""
    import asyncio

    if run.quiet or not run.form.is_text or not sys.stderr.isatty():
        return
    try:
        while True:
            counts = await asyncio.to_thread(workspace.publishing.counts, campaign_id)
            print(f"\r{_bar(counts)}\x1b[K", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(REDRAW_S)
    finally:
        print(file=sys.stderr)


def _bar(counts: Counts) -> str:
    done = counts.audience - counts.open
    return f"{output.progress_bar(done, counts.audience)}  {done:,} of {counts.audience:,} · failed {counts.failed:,}"
