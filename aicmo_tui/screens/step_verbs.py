"""Conversations that change the steps of a sequence: planned, its consequences told, agreed to, done.

Each says whether anything was changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aicmo.publishing.sequences.advancing import CONDITIONS, condition
from aicmo.publishing.sequences.editing import Add, Change, Edit, Remove, Shift
from aicmo.publishing.sequences.verbs import StepState
from aicmo.publishing.spans import parse_span, told_span
from aicmo.publishing.writing.content_types import CONTENT_TYPES
from aicmo.store.campaigns import Campaign
from aicmo.store.messages import FIRST_STEP
from aicmo_tui.present import MUTED, TITLE, Content, line, lines, number, value
from aicmo_tui.widgets.dialogs import confirm
from aicmo_tui.widgets.form import Form, Line
from aicmo_tui.widgets.picker import Picker
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp


async def add(app: AicmoApp, campaign: Campaign, steps: Sequence[StepState]) -> bool:
    content_id = await choose_content(app, "What does the step say?")
    if content_id is None:
        return False
    said = await _ask_when(app, campaign, line("When does it go, and to whom?"), "3d", "")
    if said is None:
        return False
    before = await _ask_place(app, "Where does it stand?", steps)
    if before is None:
        return False
    edit = Add(content_id, parse_span(said["wait"]), said["only_if"], before or None)
    return await agree(app, campaign, edit, "Add the step")


async def change(app: AicmoApp, campaign: Campaign, step: StepState) -> bool:
    """When it goes, and to whom."""
    message = step.message
    question = line(value(step.subject, TITLE), ": when does it go, and to whom?")
    stands = told_span(message.wait_minutes)
    said = await _ask_when(app, campaign, question, stands, message.only_if)
    if said is None or (said["wait"], said["only_if"]) == (stands, message.only_if):
        return False
    wait = parse_span(said["wait"]) if said["wait"] != stands else None
    only_if = said["only_if"] if said["only_if"] != message.only_if else None
    edit = Change(message.step, wait_minutes=wait, only_if=only_if)
    return await agree(app, campaign, edit, f"Change step {message.step}")


async def words(app: AicmoApp, campaign: Campaign, step: StepState) -> bool:
    """Another message, or the latest version of the same."""
    content_id = await choose_content(app, f"What does step {step.message.step} say?", first=step.message.content_id)
    if content_id is None:
        return False
    edit = Change(step.message.step, content_id=content_id)
    return await agree(app, campaign, edit, f"Change what step {step.message.step} says")


async def move(app: AicmoApp, campaign: Campaign, step: StepState, steps: Sequence[StepState]) -> bool:
    others = [each for each in steps if each.message.step != step.message.step]
    before = await _ask_place(app, f"Where does step {step.message.step} go?", others)
    if before is None:
        return False
    return await agree(app, campaign, Shift(step.message.step, before or None), f"Move step {step.message.step}")


async def remove(app: AicmoApp, campaign: Campaign, step: StepState) -> bool:
    edit = Remove(step.message.step)
    return await agree(app, campaign, edit, f"Take out step {edit.step}", always=True)


async def join(app: AicmoApp, campaign: Campaign) -> bool:
    """Whether whoever comes into the audience later enters too."""
    joins, name = campaign.joins_at is None, value(campaign.name, TITLE)
    if joins:
        question = line("Let newcomers to ", value(campaign.audience or "everybody"), " enter ", name, " too?")
        yes, command = "Let them in", f"aicmo campaign join {campaign.id}"
    else:
        question = line("Let nobody else enter ", name, "? Those inside go on.")
        yes, command = "Nobody else", f"aicmo campaign join {campaign.id} --off"
    if not await app.push_screen_wait(confirm(question, yes, command=command)):
        return False
    await off_loop(app, lambda: app.workspace.sequences.make(campaign.id, joins=joins))
    return True


async def agree(app: AicmoApp, campaign: Campaign, edit: Edit, what: str, *, always: bool = False) -> bool:
    """Say what ``edit`` means for the people inside, and do it when that is agreed to.

    Before the start it means nothing for anybody: then it is asked only with ``always``. Words of one that has begun
    are approved with the answer.
    """
    sequences = app.workspace.sequences
    plan = await off_loop(app, lambda: sequences.plan(campaign.id, edit))
    asks = always or bool(plan.consequences) or campaign.started_at is not None
    if asks:
        told = [_told(each.count, each.who, each.what) for each in plan.consequences]
        if campaign.started_at and isinstance(edit, Add | Change):
            told.append(line(("New words are approved with this.", MUTED)))
        inside = sum(each.count for each in plan.consequences)
        question = line((what, TITLE), f"? {number(inside)} are or were inside." if inside else "?")
        details = lines(told) if told else None
        if not await app.push_screen_wait(confirm(question, what, details=details, command=command(campaign, edit))):
            return False
    await off_loop(app, lambda: sequences.edit(campaign.id, edit, approve=asks))
    return True


def command(campaign: Campaign, edit: Edit) -> str:
    """The same on a command line."""
    base = "aicmo campaign step"
    match edit:
        case Add(content_id, wait, only_if, before):
            said = f"{base} add {campaign.id} --content {content_id} --wait {told_span(wait)}"
            said += f" --if {shlex.quote(only_if)}" if only_if else ""
            return said + (f" --before {before}" if before else "")
        case Change(step, content_id, wait_minutes, only_if):
            said = f"{base} edit {campaign.id} {step}"
            said += f" --content {content_id}" if content_id is not None else ""
            said += f" --wait {told_span(wait_minutes)}" if wait_minutes is not None else ""
            return said + (f" --if {shlex.quote(only_if)}" if only_if is not None else "")
        case Shift(step, before):
            return f"{base} move {campaign.id} {step}" + (f" --before {before}" if before else "")
        case Remove(step):
            return f"{base} remove {campaign.id} {step}"


async def choose_content(app: AicmoApp, question: str, *, first: int | None = None) -> int | None:
    """One of the e-mails that were written, ``first`` on top."""
    written = await off_loop(app, app.workspace.contents.list)
    mails = [each for each in written if CONTENT_TYPES[each.type].original == "email"]
    mails.sort(key=lambda each: each.id != first)
    if not mails:
        app.tell("No e-mail was written yet. F5 writes one.")
        return None
    chosen: int | None = await app.push_screen_wait(
        Picker(question, [(f"{each.title}{' (its latest version)' if each.id == first else ''}", each.id)
                          for each in mails])
    )  # fmt: skip
    return chosen


async def _ask_when(
    app: AicmoApp, campaign: Campaign, question: Content, wait: str, only_if: str
) -> dict[str, str] | None:
    def selects(text: str) -> object:
        return app.workspace.publishing.audience(condition(text, campaign.id))

    form = [
        Line("wait", "after", parse_span, wait, "since the step before it went, such as 3d or 12h"),
        Line("only_if", "only if", selects, only_if, f"{', '.join(CONDITIONS)} or a contact query", tuple(CONDITIONS)),
    ]
    said = await app.push_screen_wait(Form(question, form))
    return dict(said) if said is not None else None


async def _ask_place(app: AicmoApp, question: str, steps: Sequence[StepState]) -> int | None:
    """The step that it goes before; 0 is the end, ``None`` that nobody said."""
    later = [each for each in steps if each.message.step != FIRST_STEP]
    if not later:
        return 0
    choices = [("At the end", 0)]
    choices += [(f"Before step {each.message.step}: {each.subject}", each.message.step) for each in later]
    chosen: int | None = await app.push_screen_wait(Picker(question, choices))
    return chosen


def _told(count: int, who: str, what: str) -> Content:
    return line((number(count), TITLE), f" {who}: ", value(what))
