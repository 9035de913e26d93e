"""About one person: what to do next with them, and what to remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aicmo.crm.days import parse_day
from aicmo.crm.today import action_words
from aicmo.store.contacts import Contact
from aicmo_tui.present import MUTED, TITLE, Content, line, value
from aicmo_tui.screens.contact_view import day
from aicmo_tui.widgets.dialogs import Ask, Choose
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

DAYS = "tuesday, tomorrow, +3d, 2w or 2026-11-24"


async def plan(app: AicmoApp, contact: Contact) -> bool:
    """Plan the one next thing with somebody, or say what became of it; whether anything changed."""
    today = app.workspace.today
    planned = await off_loop(app, lambda: today.next_action(contact.id))
    if planned is None:
        return await _plan_anew(app, contact)
    told = line(value(planned.text, TITLE), (f", {day(planned.due, app.workspace.clock.now())}", MUTED))
    answers = {"": "Leave it", "done": "It is done", "later": "Put it off", "new": "Plan anew"}
    answer = await app.push_screen_wait(Choose(line(_who(contact), ": ", told), answers))
    if answer == "done":
        await off_loop(app, lambda: today.done(contact))
        app.tell("Done. It stands in the story.")
    elif answer == "later":
        until = await ask_for_day(app, line("Put off until when?"))
        if not until:
            return False
        moved = await off_loop(app, lambda: today.snooze(contact, until))
        app.tell(f"Put off to {day(moved.due, app.workspace.clock.now())}.")
    elif answer == "new":
        return await _plan_anew(app, contact)
    return bool(answer)


async def _plan_anew(app: AicmoApp, contact: Contact) -> bool:
    question = line("What is next with ", _who(contact), "?")
    text = await app.push_screen_wait(Ask(question, "call about the trial", check=action_words))
    if not text:
        return False
    on = await ask_for_day(app, line(value(text, TITLE), ": on which day?"))
    if not on:
        return False
    planned = await off_loop(app, lambda: app.workspace.today.plan(contact, text, on))
    app.tell(f"Planned for {day(planned.due, app.workspace.clock.now())}.")
    return True


async def ask_for_day(app: AicmoApp, question: Content) -> str:
    """A day as ``parse_day`` reads it; empty when none was said."""
    today = app.workspace.today.date()
    return await app.push_screen_wait(Ask(question, DAYS, check=lambda text: parse_day(text, today)))


async def write_note(app: AicmoApp, contact: Contact) -> bool:
    """Write a note into somebody's story; whether one was written."""
    text = await app.push_screen_wait(Ask(line("A note about ", _who(contact)), "met at the fair; wants a demo"))
    if text:
        await off_loop(app, lambda: app.workspace.timeline.note(contact.id, text))
    return bool(text)


def _who(contact: Contact) -> Content:
    return value(contact.name or contact.email, TITLE)
