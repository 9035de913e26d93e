"""Conversations about one campaign: each says how many it touches and which way, then does it, then says what came.

Whatever is agreed to is done by the core; the dialogs name the same as a command line where there is one.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from aicmo.errors import ProviderUnavailable
from aicmo.store.deliveries import Delivery, State
from aicmo_tui.findings import findings
from aicmo_tui.present import MUTED, TITLE, WARN, day_and_time, line, lines, number, people, value
from aicmo_tui.screens.campaign_view import Ledger, Shown, cause_choices, retried
from aicmo_tui.screens.changing import meanwhile
from aicmo_tui.screens.scheduling import set_going, start_now
from aicmo_tui.screens.trying_out import send_test
from aicmo_tui.widgets.dialogs import Ask, Choose, confirm
from aicmo_tui.widgets.picker import Picker
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

LOOK = "look"
"""The answer that asks for evidence in place of giving a word."""
WRITE = "write"
LINKS = "links"
WAIT, NOW = "wait", "now"


# --- before it begins ------------------------------------------------------------------------------------------------


async def check(app: AicmoApp, shown: Shown) -> None:
    """What would stop it. Asking every link is seen by others, so only a person begins it."""
    publishing, campaign_id = app.workspace.publishing, shown.campaign.id
    looking = line("Looking at everybody it is for, and asking the name servers ...")
    report = await meanwhile(app, looking, publishing.check_all(campaign_id))
    command = f"aicmo campaign check {campaign_id}"
    answers = {"": "Close", LINKS: "Ask every link"} if report.ok else {"": "Close"}
    if await app.push_screen_wait(Choose(findings(report), answers, command=command)) == LINKS:
        asking = line("Asking every link once ...")
        report = await meanwhile(app, asking, publishing.check_all(campaign_id, links=True))
        await app.push_screen_wait(Choose(findings(report), {"": "Close"}, command=f"{command} --links"))


async def approve(app: AicmoApp, shown: Shown) -> None:
    publishing, campaign = app.workspace.publishing, shown.campaign
    looking = line("Looking at everybody it is for, and asking the name servers ...")
    report = await meanwhile(app, looking, publishing.check_all(campaign.id))
    if not report.ok:
        await app.push_screen_wait(Choose(findings(report), {"": "Close"}))
        return
    question = line("Approve ", value(campaign.name, TITLE), f" as it now stands, for {people(report.audience)}?")
    command = f"aicmo campaign approve {campaign.id}"
    if await app.push_screen_wait(confirm(question, "Approve", details=findings(report), command=command)):
        await off_loop(app, lambda: publishing.approve(campaign.id))
        app.tell("Approved. It can be started.")


async def test(app: AicmoApp, shown: Shown) -> None:
    """One of its messages, the way it would really go, to oneself or somebody else."""
    publishing, campaign_id = app.workspace.publishing, shown.campaign.id
    messages = await off_loop(app, lambda: _messages(app, campaign_id))
    said = messages[0][1]
    if len(messages) > 1:
        chosen = await app.push_screen_wait(Picker("Which message?", messages))
        if chosen is None:
            return
        said = chosen
    step, variant = said
    await send_test(app, lambda to: publishing.send_test(campaign_id, to, step=step, variant=variant))


def _messages(app: AicmoApp, campaign_id: int) -> list[tuple[str, tuple[int, str]]]:
    """Its variants, then its later steps: what is read, and which one it is. Blocking."""
    standing = app.workspace.variants.standing(campaign_id)
    first = zip(standing.messages, standing.subjects, strict=True)
    later = ((each.message, each.subject) for each in app.workspace.sequences.steps(campaign_id)[1:])
    return [(f"{said.name}: {subject}", (said.step, said.variant)) for said, subject in (*first, *later)]


# --- while it goes ---------------------------------------------------------------------------------------------------


async def resume(app: AicmoApp, shown: Shown) -> None:
    """Go on. What the program paused is asked about; after a copy or a restore the mailboxes are looked at first."""
    publishing, campaign, counts = app.workspace.publishing, shown.campaign, shown.counts
    if shown.copied:
        if not await _sure(app, shown):
            return
    elif not shown.begun:
        await _begin(app, shown)
        return
    elif campaign.pause_reason:
        question = line("Go on with ", value(campaign.name, TITLE), f"? {people(counts.open)} are still to get it.")
        told = value(f"It was paused: {campaign.pause_reason}.", WARN)
        command = f"aicmo campaign resume {campaign.id}"
        if not await app.push_screen_wait(confirm(question, "Go on", no="Stay paused", details=told, command=command)):
            return
    await off_loop(app, lambda: publishing.resume(campaign.id, sure=shown.copied))
    app.sending.look()
    app.tell("Going on.")


async def _begin(app: AicmoApp, shown: Shown) -> None:
    """One that was paused before it began: back to the time it has, if that is still to come, or now."""
    at, name = shown.planned_at, value(shown.campaign.name, TITLE)
    if at is None:
        await start_now(app, shown.campaign.id)
        return
    question = line("Go on with ", name, f"? It was to begin {day_and_time(at)}.")
    answers = {"": "Stay paused", WAIT: f"Begin {day_and_time(at)}", NOW: "Begin now"}
    chosen = await app.push_screen_wait(Choose(question, answers))
    if chosen == WAIT:
        await set_going(app, shown.campaign.id, at)
    elif chosen == NOW:
        await start_now(app, shown.campaign.id)


async def _sure(app: AicmoApp, shown: Shown) -> bool:
    """What the mailboxes show of what waits here, and whether the person goes on knowing that."""
    campaign = shown.campaign
    looking = line("Looking in your mailboxes for what has gone from another copy ...")
    report = await meanwhile(app, looking, app.workspace.publishing.look_for_waiting(campaign.id))
    if shown.begun:
        left = f"{people(report.left)} of it still {'waits' if report.left == 1 else 'wait'}. Go on?"
    else:
        left = "It has not begun here. Begin now?"
    question = line(value(campaign.name, TITLE), ": ", left)
    *found, warning = report.told_of_waiting
    details = lines([*(line(value(each)) for each in found), line(value(warning, WARN))])
    command = f"aicmo campaign resume {campaign.id}"
    return bool(
        await app.push_screen_wait(confirm(question, "Go on", no="Stay paused", details=details, command=command))
    )


async def cancel(app: AicmoApp, shown: Shown) -> None:
    """For good; those whom it reached can be written to at once."""
    publishing, campaign = app.workspace.publishing, shown.campaign
    who = f"{people(shown.counts.open)} will not get it." if shown.begun else "Nobody will get it."
    question = line("Cancel ", value(campaign.name, TITLE), f" for good? {who}")
    command = f"aicmo campaign cancel {campaign.id}"
    if not await app.push_screen_wait(confirm(question, "Cancel the campaign", no="Keep it", command=command)):
        return
    await off_loop(app, lambda: publishing.cancel(campaign.id))
    reached = await off_loop(app, lambda: publishing.reached(campaign.id))
    if not reached:
        app.tell("Cancelled. Nobody had got it.")
        return
    question = line(f"Cancelled. {people(reached)} had got it by then: write to them?")
    details = line((f"sent:{campaign.id}", TITLE), " selects them, now and later.")
    answers = {"": "No", WRITE: "Write a correction"}
    if await app.push_screen_wait(Choose(question, answers, details=details)) == WRITE:
        app.write_to(f"sent:{campaign.id}", anew=True)


async def retry(app: AicmoApp, shown: Shown) -> None:
    """All that failed, or those who failed for one cause."""
    publishing, campaign_id, count, cause = app.workspace.publishing, shown.campaign.id, shown.counts.failed, ""
    causes = await off_loop(app, lambda: publishing.causes(campaign_id, State.FAILED))
    if causes and causes != {next(iter(causes)): count}:
        choices = cause_choices(causes, "All that failed", count)
        chosen = await app.push_screen_wait(Picker("Try again for whom?", choices))
        if chosen is None:
            return
        cause = chosen
        count = causes[cause] if cause else count
    question = line("Try again for ", retried(count, cause), "?")
    command = f"aicmo campaign retry {campaign_id}" + (f" --cause {cause}" if cause else "")
    if await app.push_screen_wait(confirm(question, f"Queue {number(count)}", command=command)):
        queued = await off_loop(app, lambda: publishing.retry(campaign_id, cause=cause))
        app.sending.look()
        app.tell(f"{people(queued)} queued again.")


async def resolve(app: AicmoApp, shown: Shown, only: Delivery | None = None) -> None:
    """What became of those that may or may not have gone; of all, or of one."""
    publishing, campaign_id = app.workspace.publishing, shown.campaign.id
    doubt = await off_loop(app, lambda: publishing.doubt(campaign_id))
    whom = value(only.email) if only else line(people(shown.counts.unknown))
    question = line(whom, " may or may not have got it. What became of it?")
    details = lines(
        [
            *(line(value(sentence, MUTED)) for sentence in (doubt.told if doubt else ())),
            line(("It was sent", TITLE), ": you found it in a mailbox or in the server's log."),
            line(("It failed", TITLE), ": the server's log says it never took it."),
            line(("Send again", TITLE), ": with the same Message-ID; who has it already may see it twice."),
            line(("Look now", TITLE), ": for a copy or an answer in your mailboxes; what is not found stays."),
        ]
    )
    answers = {
        "": "Leave it",
        State.SENT: "It was sent",
        State.FAILED: "It failed",
        State.QUEUED: "Send again",
        LOOK: "Look now",
    }
    email = only.email if only else ""
    same = f"aicmo campaign resolve {campaign_id}"
    whose = f" --email {shlex.quote(only.email)}" if only else ""
    said = {State.SENT: "--as sent", State.FAILED: "--as failed", State.QUEUED: "--as resend", LOOK: "--evidence"}
    command = {answer: f"{same} {words}{whose}" for answer, words in said.items()}
    to = await app.push_screen_wait(Choose(question, answers, details=details, command=command))
    if to == LOOK:
        looking = line("Looking in your mailboxes ...")
        report = await meanwhile(app, looking, publishing.resolve_by_evidence(campaign_id, email=email))
        if report.left and not report.asked:
            raise ProviderUnavailable(f"Nobody could look: {report.why_not}.", hint="F3 shows why.")
        found = f"{people(report.settled)} found" if report.settled else "Nobody was found"
        app.tell(f"{found}; {people(report.left)} still unknown." if report.left else f"{found}.")
    elif to:
        changed = await off_loop(app, lambda: publishing.resolve(campaign_id, State(to), email=email))
        app.sending.look()
        app.tell(f"{people(changed)} resolved.")


async def export(app: AicmoApp, ledger: Ledger, count: int) -> None:
    """What is shown, as a file."""
    from aicmo_tui.ledger_export import export as write

    question = line(f"Write what is shown of {people(count)}, as CSV. Where to?")
    name = await app.push_screen_wait(Ask(question, "ledger.csv"))
    if name:
        path = await off_loop(app, lambda: write(name, ledger.window(0, -1)))
        app.tell(f"Written to {path}.")
