"""``aicmo campaign``: to whom it is said, and what became of each message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from aicmo.clock import parse_rfc3339
from aicmo.errors import ApprovalNeeded, AuthNeeded, InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.campaign_edit import choices, choices_record, choices_told, edit, said_choices
from aicmo_tui.cli.campaign_resume import resume
from aicmo_tui.cli.campaign_samples import preview, test
from aicmo_tui.cli.campaign_steps import join, people, sequence_record, sequence_told, step
from aicmo_tui.cli.campaign_variants import ab, variant, variants_record, variants_told, winner
from aicmo_tui.cli.checking import check_campaign, report_record, report_told
from aicmo_tui.cli.sending import evidence_record, send_and_watch
from aicmo_tui.cli.verb import AT_MOST, ROW_ID, Run, run_async, verb

if TYPE_CHECKING:
    from aicmo.publishing import Counts, PublishingCampaign
    from aicmo.publishing.sending.evidence import Doubt, EvidenceReport
    from aicmo.workspace import Workspace

COUNTED = ("sent", "queued", "sending", "deferred", "failed", "suppressed", "unknown", "cancelled", "bounced")


@click.group()
def campaign() -> None:
    """Send content to people, and see who got it, who did not, and why."""


@verb(campaign, changes=True)
@click.option("--name", required=True, help="What you call it.")
@click.option(
    "--content",
    "content_id",
    required=True,
    type=ROW_ID,
    metavar="ID",
    help="An e-mail, a webinar or a product update.",
)
@click.option(
    "--to", "audience", required=True, metavar="QUERY", help="Who gets it, such as tag:newsletter -tag:customer."
)
@click.option("--kind", type=click.Choice(["once", "sequence"]), default="once", help="Whether steps follow. [once]")
@click.option("--join", "joins", is_flag=True, help="A sequence that whoever comes into the audience later enters too.")
@choices
def create(
    run: Run,
    name: str,
    content_id: int,
    audience: str,
    kind: str,
    joins: bool,
    exclude: str | None,
    hours: str | None,
    days: str | None,
    zone: str | None,
    late_after: str | None,
    utm: str | None,
) -> None:
    """Create a draft. Nothing is sent."""
    from aicmo.store.campaign_options import CampaignOptions

    options = CampaignOptions(**said_choices(hours, days, zone, late_after, utm))  # type: ignore[arg-type]
    exclude = exclude or ""
    with run.open_workspace() as workspace:
        reached = workspace.publishing.audience(audience, exclude)
        excluded = workspace.publishing.audience(audience).total - reached.total if exclude else 0
        made = workspace.publishing.create_campaign(name, content_id, audience, exclude=exclude, options=options)
        if (joins or kind == "sequence") and not run.dry_run:  # a dry run has made none that could become one
            workspace.sequences.make(made.id, joins=joins or None)
    record = {
        "schema": "aicmo.campaign.create/1",
        "status": "dry_run" if run.dry_run else "done",
        "id": None if run.dry_run else made.id,
        "audience": reached.total,
        "suppressed": reached.suppressed,
        "excluded": excluded,
    }
    next_step = "Nothing was changed." if run.dry_run else f"Check it with: aicmo campaign check {made.id}"
    without = f", without {excluded:,} excluded" if exclude else ""
    told = f"{name}: {_people(reached.total)}{without}, {reached.suppressed:,} suppressed."
    output.document(record, run.form, [told, next_step])


@verb(campaign, "list", lists=True)
def list_(run: Run) -> None:
    """All campaigns, the newest first."""
    with run.open_workspace() as workspace:
        found = [_record(workspace, each) for each in workspace.publishing.campaigns()]
    flat = ({**row, **row["counts"]} for row in found) if run.form.is_text else found
    columns = ["id", "name", "status", "to", *COUNTED[:7], "audience"] if run.form.is_text else list(_COLUMNS)
    numbers = ["id", "audience", *COUNTED]
    output.rows(
        flat, run.form, columns, empty="No campaigns yet. Create one with: aicmo campaign create", numbers=numbers
    )


@verb(campaign)
@click.argument("id_", metavar="ID", type=ROW_ID)
def show(run: Run, id_: int) -> None:
    """One campaign: its status and the counts, which always add up to the audience."""
    with run.open_workspace() as workspace:
        found = workspace.publishing.campaign(id_)
        record, chosen = _record(workspace, found), choices_record(found)
        doubt = workspace.publishing.doubt(id_)
        steps, standing = sequence_record(workspace, found), workspace.variants.standing(id_)
    compared = variants_record(standing) if standing.test or len(standing.messages) > 1 else {}
    more = [*sequence_told(steps), *(variants_told(compared) if compared else ())]
    told = [*_told(record), *choices_told(chosen), *more, *_next_told(record), *_doubt_told(id_, doubt)]
    record |= {"kind": found.kind, **chosen, **steps, **compared, "doubt": _doubt(doubt)}
    output.document(record, run.form, told)


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def approve(run: Run, id_: int) -> None:
    """Approve the content as it now stands; an edit withdraws it."""
    with run.open_workspace() as workspace:
        _answer(run, "approve", workspace, workspace.publishing.approve(id_))


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--at", metavar="TIME", help="When: 'tomorrow 9:00', +3h, 2026-12-01T09:00+01:00.")
@click.option("--wait", is_flag=True, help="Send here and now, with a progress bar; else aicmo run sends.")
def start(run: Run, id_: int, at: str | None, wait: bool) -> int:
    """Freeze the audience and let it go. Asks first, and approves the content with the answer."""
    from aicmo.publishing.moments import parse_moment

    with run.open_workspace() as workspace:
        publishing = workspace.publishing
        when = parse_moment(at, workspace.clock.now()) if at else None
        report = publishing.check(id_, at=when)
        if run.dry_run and not report.ok:
            output.document({**report_record(report), "status": "dry_run"}, run.form, report_told(report))
            return InvalidInput.exit_code
        has_begun = publishing.counts(id_).audience > 0  # then it is refused, and there is nothing to ask
        if (
            report.ok
            and not has_begun
            and not run.confirm(
                f"Send to {_people(report.audience - report.suppressed)} through {' or '.join(publishing.ways)}?"
            )
        ):
            raise ApprovalNeeded("Nobody agreed, so nothing was sent.", hint="Answer y on a terminal, or say --yes.")
        begun = publishing.start(id_, approve=True, at=when)
        if run.dry_run:
            told = [*report_told(report), "Nothing was changed."]
            output.document({**report_record(report), "status": "dry_run"}, run.form, told)
            return 0
        if not wait or when:
            _answer(run, "start", workspace, begun)
            run.say(f"aicmo run, or the app while it is open, {'begins it then' if when else 'sends it'}.")
            return 0
    return send_and_watch(run, id_, schema="aicmo.campaign.start/1")


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def pause(run: Run, id_: int) -> None:
    """Stop within one message; whoever sends it."""
    with run.open_workspace() as workspace:
        _answer(run, "pause", workspace, workspace.publishing.pause(id_))


campaign.add_command(edit)
campaign.add_command(resume)
for each in (preview, test, step, join, people, variant, ab, winner):
    campaign.add_command(each)
campaign.add_command(check_campaign)


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
def cancel(run: Run, id_: int) -> None:
    """Stop for good. Those it has reached stay listed."""
    with run.open_workspace() as workspace:
        before = workspace.publishing.campaign(id_)
        if not run.confirm(f"Cancel {before.name} for good?"):
            raise ApprovalNeeded(
                "Nobody agreed, so nothing was cancelled.", hint="Answer y on a terminal, or say --yes."
            )
        cancelled = workspace.publishing.cancel(id_)
        reached = workspace.publishing.reached(id_)
        _answer(run, "cancel", workspace, cancelled, reached=reached, reached_query=f"sent:{id_}")
        if reached and not run.dry_run:
            run.say(f"{_people(reached)} had got it by then: sent:{id_} selects them, for a correction.")


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--cause", default="", help="Only those that failed for it, such as mailbox or server.")
def retry(run: Run, id_: int, cause: str) -> None:
    """Queue the failed ones again, and only those."""
    with run.open_workspace() as workspace:
        count = workspace.publishing.retry(id_, cause=cause)
        said = f"{count:,} of the failed {_will(run, count)} queued again."
        said = said if count else "There is nothing to queue again."
        _answer(run, "retry", workspace, workspace.publishing.campaign(id_), said, queued_again=count)


@verb(campaign, changes=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--as", "to", type=click.Choice(["sent", "failed", "resend"]), help="What you know, or want.")
@click.option("--evidence", is_flag=True, help="Look in your mailboxes now, and settle what they show.")
@click.option("--email", default="", help="One person's; else all of the campaign's unknown ones.")
def resolve(run: Run, id_: int, to: str | None, evidence: bool, email: str) -> int:
    """Decide about messages that may or may not have gone. A resend carries the same Message-ID.

    With --evidence exits with 8 when some are still unknown, 4 or 7 when no mailbox could be asked.
    """
    from aicmo.publishing import State

    if evidence == bool(to):
        raise click.UsageError("Say --as, or --evidence, and not both.")
    if to is None:
        return _resolve_by_evidence(run, id_, email)
    state = {"sent": State.SENT, "failed": State.FAILED, "resend": State.QUEUED}[to]
    with run.open_workspace() as workspace:
        count = workspace.publishing.resolve(id_, state, email=email)
        done = "queued again" if to == "resend" else f"settled as {to}"
        said = f"{count:,} unknown {_will(run, count)} {done}."
        _answer(run, "resolve", workspace, workspace.publishing.campaign(id_), said, resolved=count)
    return 0


def _resolve_by_evidence(run: Run, id_: int, email: str) -> int:
    from aicmo.errors import OutcomeUnknown, ProviderUnavailable

    async def look() -> tuple[EvidenceReport, dict[str, Any]]:
        async with run.open_workspace() as workspace:
            report = await workspace.publishing.resolve_by_evidence(id_, email=email)
            return report, _record(workspace, workspace.publishing.campaign(id_))

    report, record = run_async(look())
    told = [_found_told(report), *_told(record)]
    if report.why_not:
        told.append(f"  {report.why_not}")
    document = {"schema": "aicmo.campaign.resolve/1", **record, "resolved": report.settled}
    document["evidence"] = evidence_record(report)
    if run.dry_run:
        document |= {"status": "dry_run", "becomes": record["status"]}
        told.append("Nothing was changed.")
    output.document(document, run.form, told)
    if report.left and not report.asked:
        return (AuthNeeded if report.needs_a_person else ProviderUnavailable).exit_code
    return OutcomeUnknown.exit_code if report.left else 0


def _found_told(report: EvidenceReport) -> str:
    unknown = report.settled + report.left
    where = f" in {', '.join(report.looked_in)}" if report.looked_in else ""
    if not unknown:
        return "Nothing is unknown."
    if not report.settled:
        return f"None of {unknown:,} unknown was found{where}, which proves nothing."
    return f"{report.settled:,} of {unknown:,} unknown found{where}: they went."


@verb(campaign, lists=True)
@click.argument("id_", metavar="ID", type=ROW_ID)
@click.option("--state", help=f"Only these: {', '.join(COUNTED)}.")
@click.option("--cause", default="", help="Only those that are there for it, such as hours or mailbox.")
@click.option("--find", default="", metavar="TEXT", help="Only addresses with this in them.")
@click.option("--limit", type=AT_MOST, help="At most so many.")
def deliveries(run: Run, id_: int, state: str | None, cause: str, find: str, limit: int | None) -> None:
    """The ledger: every recipient, with what happened, by which server, when."""
    from aicmo.publishing import State

    if state and state not in COUNTED:
        raise InvalidInput(f"There is no state {state}.", hint=f"There are: {', '.join(COUNTED)}.")
    with run.open_workspace() as workspace:
        found = workspace.publishing.deliveries(
            id_, state=State(state) if state else None, cause=cause, address=find, limit=limit or -1
        )
    rows = (
        {
            "email": each.email,
            "state": each.state.value,
            "message_id": each.message_id or None,
            "provider": each.provider or None,
            "code": each.code or None,
            "reason": each.reason or None,
            "cause": each.cause or None,
            "at": each.at,
            "retry_at": each.retry_at or None,
            "attempts": each.attempts,
        }
        for each in found
    )
    columns = list(_DELIVERY_COLUMNS)
    if run.form.is_text:
        columns = ["email", "state", "provider", "code", "reason", "at", "retry_at"]
    output.rows(rows, run.form, columns, empty="No deliveries: the campaign has not begun, or none is like that.")


_COLUMNS = ("id", "name", "status", "to", "content_id", "pause_reason", "started_at", "scheduled_at", "counts")
_DELIVERY_COLUMNS = [
    *("email", "state", "message_id", "provider", "code", "reason", "at", "retry_at", "attempts", "cause"),
]


def _record(workspace: Workspace, found: PublishingCampaign) -> dict[str, Any]:
    counts: Counts = workspace.publishing.counts(found.id)
    return {
        "id": found.id,
        "name": found.name,
        "status": found.status.value,
        "to": found.audience,
        "content_id": found.content_id,
        "pause_reason": found.pause_reason or None,
        "started_at": found.started_at,
        "scheduled_at": found.scheduled_at,
        "counts": counts.as_dict(),
    }


def _told(record: dict[str, Any]) -> list[str]:
    counts = record["counts"]
    why = f" ({record['pause_reason']})" if record["pause_reason"] else ""
    parts = [f"{name} {counts[name]:,}" for name in COUNTED if counts[name]]
    said = {"scheduled": "begins", "paused": "not begun; it was to begin"}.get(record["status"])
    begins = f"{said} {output.moment(parse_rfc3339(record['scheduled_at']))}" if said and record["scheduled_at"] else ""
    ledger = f"  {'  '.join(parts)}  = {counts['audience']:,}" if counts["audience"] else f"  {begins or 'not begun'}"
    return [f"{record['name']} · {record['status']}{why} · to {record['to'] or 'everybody'}", ledger]


def _next_told(record: dict[str, Any]) -> list[str]:
    """What there is to do about it."""
    lines, id_ = [], record["id"]
    if record["status"] == "paused":
        lines.append(f"  Go on with: aicmo campaign resume {id_}")
    if record["counts"]["failed"]:
        lines.append(f"  Who did not get it, and why: aicmo campaign deliveries {id_} --state failed")
    return lines


def _doubt(doubt: Doubt | None) -> dict[str, Any] | None:
    from aicmo.clock import rfc3339

    if doubt is None:
        return None
    look = doubt.look
    return {
        "count": doubt.count,
        "looked_at": rfc3339(look.at) if look else None,
        "looked_in": list(look.looked_in) if look else [],
        "why_not": (look.why_not if look else "") or None,
        "next_at": rfc3339(doubt.next_at) if doubt.next_at else None,
    }


def _doubt_told(id_: int, doubt: Doubt | None) -> list[str]:
    if doubt is None:
        return []
    return [
        f"  ? {doubt.count:,} unknown",
        *(f"    {sentence}" for sentence in doubt.told),
        f"    Look now: aicmo campaign resolve {id_} --evidence",
        f"    Or decide: aicmo campaign resolve {id_} --as sent|failed|resend",
    ]


def _answer(
    run: Run, name: str, workspace: Workspace, found: PublishingCampaign, said: str = "", **more: object
) -> None:
    record = {"schema": f"aicmo.campaign.{name}/1", **_record(workspace, found), **more}
    told = [*([said] if said else []), *_told(record)]
    if run.dry_run:
        record |= {"status": "dry_run", "becomes": found.status.value}
        told.append("Nothing was changed.")
    output.document(record, run.form, told)


def _will(run: Run, count: int) -> str:
    return "would be" if run.dry_run else "is" if count == 1 else "are"


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count:,} people"
