"""Conversations that set a campaign going, now or at a time: how many, which way, and what the check says first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from aicmo.errors import ApprovalNeeded, InvalidInput
from aicmo.publishing.moments import EXAMPLES, parse_moment, told_moment
from aicmo.publishing.spans import told_span
from aicmo.publishing.variants import Standing
from aicmo_tui.findings import findings
from aicmo_tui.present import MUTED, TITLE, day_and_time, line, lines, number, people, value
from aicmo_tui.widgets.dialogs import Ask, Choose, confirm
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp


async def start_now(app: AicmoApp, campaign_id: int) -> bool:
    """Whether it begins."""
    return await _begin(app, campaign_id, None)


async def schedule(app: AicmoApp, campaign_id: int) -> bool:
    """Give it a time, or another one; whether it has it."""
    name = await off_loop(app, lambda: app.workspace.publishing.campaign(campaign_id).name)
    at = await ask_for_moment(app, line("When does ", value(name, TITLE), " begin?"))
    return at is not None and await _begin(app, campaign_id, at)


async def ask_for_moment(app: AicmoApp, question: Content) -> datetime | None:
    """A moment to come, as ``parse_moment`` reads it; ``None`` when none was said."""
    clock = app.workspace.clock

    def to_come(text: str) -> datetime:
        at = parse_moment(text, clock.now())
        if at <= clock.now():
            raise InvalidInput(f"{told_moment(at, clock.now())} has passed.", hint="Name a time to come.")
        return at

    text = await app.push_screen_wait(Ask(question, EXAMPLES, check=to_come))
    return to_come(text) if text else None


async def _begin(app: AicmoApp, campaign_id: int, at: datetime | None) -> bool:
    publishing = app.workspace.publishing
    report = await off_loop(app, lambda: publishing.check(campaign_id, at=at))
    if not report.ok:
        await app.push_screen_wait(Choose(findings(report), {"": "Close"}))
        return False
    parts = compared(await off_loop(app, lambda: app.workspace.variants.standing(campaign_id)))
    details = lines([*([line((parts, TITLE))] if parts else []), findings(report)])
    count, ways = report.audience - report.suppressed, publishing.ways
    when = f" {day_and_time(at)}" if at else ""
    question = line(f"Send to {people(count)} through ", value(ways[0], TITLE), (when, TITLE), "?")
    if len(ways) > 1:
        question += line((f" ({', '.join(ways[1:])} takes over if need be)", MUTED))
    said = f" --at {at.astimezone().isoformat(timespec='minutes')}" if at else ""
    command = f"aicmo campaign start {campaign_id}{said}"
    yes = f"Send to {number(count)}" + (" then" if at else "")
    if not await app.push_screen_wait(confirm(question, yes, details=details, command=command)):
        return False
    return await set_going(app, campaign_id, at)


async def set_going(app: AicmoApp, campaign_id: int, at: datetime | None) -> bool:
    """What was agreed to; only words that were changed since they were approved are asked about. Whether it is so."""
    publishing = app.workspace.publishing
    try:
        await off_loop(app, lambda: publishing.start(campaign_id, at=at))
    except ApprovalNeeded as error:
        if await off_loop(app, lambda: publishing.stopped_as_copy(campaign_id)):
            raise
        if not await _approve_anew(app, error):
            return False
        await off_loop(app, lambda: publishing.start(campaign_id, approve=True, at=at))
    app.sending.look()
    app.tell(f"It begins {day_and_time(at)}." if at else "It is being sent. You can go anywhere; it goes on.")
    return True


def compared(standing: Standing) -> str:
    """Who gets which of several messages; empty where all get the same."""
    test, parts = standing.test, []
    if len(standing.messages) > 1:
        which = f"{len(standing.messages)} messages"
        if test is None or test.sample_percent == 100:
            parts.append(f"{which}, each to an even part of them")
        else:
            wait = told_span(test.wait_minutes)
            parts.append(f"{test.sample_percent}% try {which}; the rest waits {wait} and gets the better one")
    if test is not None and test.holdout_percent:
        parts.append(f"{test.holdout_percent}% get nothing, to compare with")
    return f"{'; '.join(parts)}." if parts else ""


async def _approve_anew(app: AicmoApp, error: ApprovalNeeded) -> bool:
    """The words were changed after they had been approved."""
    question = line(value(error.message), " Approve it, and go on?")
    told = lines([line(("Its words were changed since they were approved. e shows them.", MUTED))])
    return bool(await app.push_screen_wait(confirm(question, "Approve and go on", details=told)))
