"""Conversations that change people: looked at first, agreed to, done as one step of undo, told.

Every confirmation says how many it touches, and has the focus on Cancel.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aicmo.clock import parse_rfc3339
from aicmo.crm.editing import Edited, EditResult
from aicmo.crm.history import NOT_TAKEN_BACK, outcome, told
from aicmo.crm.lifecycle import is_demotion
from aicmo.errors import EditConflict, IllegalTransition
from aicmo.store.contacts import Contact
from aicmo.store.undoing import Reverted
from aicmo_tui.present import MUTED, TITLE, WARN, Content, ago, line, lines, number, people, value
from aicmo_tui.screens.conflict import Conflict, named
from aicmo_tui.screens.contact_view import changed_to
from aicmo_tui.widgets.dialogs import Choose, Working, confirm
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

T = TypeVar("T")

PATIENCE_S = 0.2
"""What takes longer is said to be under way."""
KEPT_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Whom:
    """Some people, as they were found when the conversation began."""

    ids: Sequence[int]
    said: str
    """``Jane Doe``, ``3 selected people``: who they are, for a question."""
    argument: str | None = None
    """What means the same people on the command line; ``None``: nothing does."""


async def wait_for(app: AicmoApp, what: Content, work: Callable[[], T]) -> T:
    """The result of ``work``, run off the loop; when it takes its time, ``what`` is shown meanwhile."""
    task = asyncio.ensure_future(off_loop(app, work))
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
    if not done:
        working = Working(what)
        await app.push_screen(working)
        try:
            await asyncio.wait({task})
        finally:
            working.dismiss()
    return await task


async def meanwhile(app: AicmoApp, what: Content, work: Awaitable[T]) -> T:
    """The result of ``work``; when it takes its time, ``what`` is shown meanwhile."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
    if done:
        return await task
    working = Working(what)
    await app.push_screen(working)
    try:
        return await task
    finally:
        working.dismiss()


# --- one person -------------------------------------------------------------------------------------------------------


async def save(app: AicmoApp, base: Contact, mine: Mapping[str, str]) -> EditResult | None:
    """Save an edit of one person, of whom ``base`` was seen; ``None`` when the person thought better of it.

    What somebody else changed meanwhile is asked about field by field, until the answer fits what stands there.
    """
    wanted, demote = dict(mine), False
    while True:
        try:
            return await off_loop(app, lambda: app.workspace.crm.edit(base, wanted, demote=demote))  # noqa: B023
        except EditConflict as conflict:
            base = (await off_loop(app, lambda: app.workspace.crm.portrait(base.id))).contact  # noqa: B023
            chosen = await app.push_screen_wait(Conflict(base.name or base.email, conflict.conflicts))
            if chosen is None:
                return None
            wanted |= chosen
        except IllegalTransition as error:
            if demote or not await mean_it(app, error):
                return None
            demote = True


async def mean_it(app: AicmoApp, error: IllegalTransition, among: int = 1) -> bool:
    """Whether a step back in the lifecycle is meant, of whom ``error`` names and of others ``among`` so many."""
    others = f" So may others of the {people(among)}." if among > 1 else ""
    question = line(value(error.message), others, " Is that meant?")
    return bool(await app.push_screen_wait(confirm(question, "Step back")))


# --- many -------------------------------------------------------------------------------------------------------------


async def change(app: AicmoApp, whom: Whom, verb: str, values: Mapping[str, str]) -> bool:
    """Change people alike, after a look at the first of them; whether anybody was.

    ``verb`` begins the question: ``Tag vip``. Raises what ``CRMRepository.edit_all`` does.
    """
    crm, demote = app.workspace.crm, False
    seen = await wait_for(app, line("Looking ..."), lambda: crm.preview(whom.ids, values))
    if len(whom.ids) > 1:
        question = line(value(verb, TITLE), ": ", value(whom.said), "?")
        command = cli(whom, values, demote=any(is_demotion(*stages_of(each)) for each in seen))
        if not await app.push_screen_wait(
            confirm(question, agreed(whom), details=preview(whom, seen), command=command)
        ):
            return False
    while True:
        try:
            done = await wait_for(
                app,
                line(f"Changing {people(len(whom.ids))} ..."),
                lambda: crm.edit_all(whom.ids, values, demote=demote),  # noqa: B023
            )
        except IllegalTransition as error:
            if demote or not await mean_it(app, error, len(whom.ids)):
                return False
            demote = True
        else:
            back = " ctrl+z takes it back." if done.changed else ""
            nobody = "".join(f" {each}" for each in done.warnings)
            app.tell(f"{number(done.changed)} of {people(done.selected)} changed.{nobody}{back}")
            return bool(done.changed)


async def delete(app: AicmoApp, whom: Whom) -> bool:
    """Delete people with all that is theirs; whether anybody was."""
    question = line(("Delete ", TITLE), value(whom.said, TITLE), "?")
    details = line("With all that is theirs: notes, story, plans. ctrl+z brings it back.")
    command = None if whom.argument is None else shlex.join(["aicmo", "contact", "delete", "--", whom.argument])
    answer = confirm(question, f"Delete {number(len(whom.ids))}", details=details, command=command)
    if not await app.push_screen_wait(answer):
        return False
    crm = app.workspace.crm
    done = await wait_for(app, line(f"Deleting {people(len(whom.ids))} ..."), lambda: crm.delete(whom.ids))
    app.tell(f"{people(done.changed)} deleted. ctrl+z brings them back.")
    return bool(done.changed)


def agreed(whom: Whom) -> str:
    return f"Change {number(len(whom.ids))}"


def preview(whom: Whom, seen: Sequence[Edited]) -> Content:
    """The first five whom it changes, and that it is one step."""
    rows = [example(each) for each in seen]
    if not seen:
        rows.append(line(("Those looked at, the first thousand at most, are like that already.", MUTED)))
    return lines([*rows, line(("It is one step: ctrl+z takes all of it back.", MUTED))])


def example(edited: Edited) -> Content:
    """``jane@acme.example  title “Owner” → “Head”, +vip``."""
    changed = []
    for key, text in edited.after.items():
        family, _, name = key.partition(".")
        if family == "tag":
            changed.append(line(f"+{text}" if text else f"-{name}"))
        else:
            changed.append(line((named(key) + " ", MUTED), changed_to(edited.before.get(key), text)))
    return line(value(edited.email, limit=60), "  ", line(", ").join(changed))


def stages_of(edited: Edited) -> tuple[str, str]:
    """From where somebody would go to where; twice nothing when they would stay."""
    return edited.before.get("stage", ""), edited.after.get("stage", "")


def cli(whom: Whom, values: Mapping[str, str], *, demote: bool = False) -> str | None:
    """The same on the command line, where there is a way to say whom."""
    if whom.argument is None:
        return None
    words: list[str] = ["--demote"] if demote else []
    for name, text in values.items():
        family, _, rest = name.partition(".")
        if family == "tag":
            words += ["--tag" if text else "--untag", rest]
        elif not text:
            words += ["--clear", rest or name]
        elif family == "field":
            words += ["--field", f"{rest}={text}"]
        else:
            words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(["aicmo", "contact", "edit", *words, "--", whom.argument])


# --- taking back ------------------------------------------------------------------------------------------------------


async def undo(app: AicmoApp) -> bool:
    """Take back the last thing a person did, here or elsewhere, once it is agreed to; whether anything was."""
    history = app.workspace.history
    last = await off_loop(app, history.next_to_undo)
    if last is None:
        app.tell(f"There is nothing to undo. {NOT_TAKEN_BACK}")
        return False
    when = ago(parse_rfc3339(last.at), app.workspace.clock.now())
    question = line("Undo: ", value(last.phrase, TITLE), f", {when} ago?")
    details = line((NOT_TAKEN_BACK, MUTED))
    if not await app.push_screen_wait(confirm(question, "Undo", details=details, command=f"aicmo undo {last.id}")):
        return False
    await tell(app, "Undone", await wait_for(app, line("Taking it back ..."), lambda: history.undo(last.id)))
    return True


async def redo(app: AicmoApp) -> bool:
    """Do again what was undone last, once it is agreed to; whether anything was."""
    history = app.workspace.history
    last = await off_loop(app, history.next_to_redo)
    if last is None:
        app.tell("There is nothing to redo.")
        return False
    question = line("Do again: ", value(last.phrase, TITLE), "?")
    if not await app.push_screen_wait(confirm(question, "Do it again", command=f"aicmo redo {last.id}")):
        return False
    await tell(app, "Done again", await wait_for(app, line("Doing it again ..."), lambda: history.redo(last.id)))
    return True


async def tell(app: AicmoApp, done: str, turned: Reverted | None) -> None:
    """What came of it. What somebody changed since was left as it is, and is named."""
    if turned is None:
        return
    heading = outcome(done, turned)
    if not turned.kept:
        app.tell(f"{heading}.")
        return
    rows = [line(("What was changed since stays as it is:", MUTED))]
    rows += left_alone(turned)
    await app.push_screen_wait(Choose(value(heading, TITLE), {"": "Close"}, details=lines(rows)))


def left_alone(turned: Reverted) -> list[Content]:
    """What an undo or a redo left as it is, a sentence each, and how many more there are."""
    sentences = list(told(turned.kept))
    rows = [value(each, WARN) for each in sentences[:KEPT_SHOWN]]
    if more := len(sentences[KEPT_SHOWN:]) + turned.unnamed:
        rows.append(line((f"and {number(more)} more", MUTED)))
    return rows
