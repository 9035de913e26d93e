"""Conversations about variants and their test. Each says whether anything was changed."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from aicmo.errors import InvalidInput
from aicmo.publishing.spans import parse_span, told_span
from aicmo.publishing.variants import GOALS, UNCLEAR
from aicmo.store.campaigns import Campaign
from aicmo.store.variants import Trial
from aicmo.text import shown
from aicmo_tui.present import MUTED, TITLE, line, people, value
from aicmo_tui.screens.step_verbs import choose_content
from aicmo_tui.widgets.dialogs import Choose, confirm
from aicmo_tui.widgets.form import Form, Line
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

SUBJECT, CONTENT, HOUR = "subject", "content", "hour"


async def add(app: AicmoApp, campaign: Campaign) -> bool:
    """Another subject, another message, or another hour."""
    answers = {"": "Cancel", SUBJECT: "Another subject", CONTENT: "Another message", HOUR: "Another hour"}
    question = line("What is different about it?")
    differs = await app.push_screen_wait(Choose(question, answers))
    if not differs:
        return False
    content_id, subject, wait = None, "", 0
    if differs == CONTENT:
        content_id = await choose_content(app, "What does it say?")
        if content_id is None:
            return False
    elif differs == SUBJECT:
        lines = [Line("subject", "subject", _something, example="in place of the message's own")]
        said = await app.push_screen_wait(Form(line("With which subject?"), lines))
        if said is None:
            return False
        subject = said["subject"]
    else:
        lines = [Line("after", "later by", parse_span, example="than the others, such as 5h")]
        said = await app.push_screen_wait(Form(line("How much later does it go?"), lines))
        if said is None:
            return False
        wait = parse_span(said["after"])
    variants = app.workspace.variants
    await off_loop(app, lambda: variants.add(campaign.id, content_id=content_id, subject=subject, wait_minutes=wait))
    return True


async def remove(app: AicmoApp, campaign: Campaign, letter: str) -> bool:
    question = line("Take variant ", (letter, TITLE), " out of ", value(campaign.name, TITLE), "?")
    command = f"aicmo campaign variant remove {campaign.id} {letter}"
    if not await app.push_screen_wait(confirm(question, "Take it out", command=command)):
        return False
    await off_loop(app, lambda: app.workspace.variants.remove(campaign.id, letter))
    return True


async def set_test(app: AicmoApp, campaign: Campaign, test: Trial | None) -> bool:
    """Try the variants on a sample first, hold some people out, or both."""
    stands = test or Trial(campaign.id, GOALS[0], 20, 0, 24 * 60, 100)
    form = [
        Line("goal", "better by", _one_of(GOALS), stands.goal, " or ".join(GOALS), GOALS),
        Line("sample", "sample %", _within(1, 100), str(stands.sample_percent), "of the audience, all together"),
        Line("holdout", "held out %", _within(0, 50), str(stands.holdout_percent), "who get nothing, to compare with"),
        Line("wait", "wait", parse_span, told_span(stands.wait_minutes), "how long each message has, such as 24h"),
        Line("least", "at least", _within(1, 10_000_000), str(stands.least), "sent of each before a winner is named"),
        Line("unclear", "if unclear", _one_of(UNCLEAR), stands.unclear, "first: A goes to the rest; or ask", UNCLEAR),
    ]
    said = await app.push_screen_wait(Form(line("Which variant is better?"), form))
    if said is None:
        return False
    asked = Trial(
        campaign.id,
        said["goal"],
        int(said["sample"]),
        int(said["holdout"]),
        parse_span(said["wait"]),
        int(said["least"]),
        said["unclear"],
    )
    await off_loop(app, lambda: app.workspace.variants.set_test(asked))
    return True


async def drop_test(app: AicmoApp, campaign: Campaign) -> bool:
    question = line("No test: all variants of ", value(campaign.name, TITLE), " to even parts of the audience?")
    command = f"aicmo campaign ab {campaign.id} --off"
    if not await app.push_screen_wait(confirm(question, "Drop the test", command=command)):
        return False
    await off_loop(app, lambda: app.workspace.variants.drop_test(campaign.id))
    return True


async def choose(app: AicmoApp, campaign: Campaign, letter: str, waiting: int) -> bool:
    """A person's word, also before its time."""
    question = line(
        "Send variant ", (letter, TITLE), f" to {people(waiting)} who {'waits' if waiting == 1 else 'wait'}?"
    )
    details = line(("A test is decided once; this ends it.", MUTED))
    command = f"aicmo campaign winner {campaign.id} {shlex.quote(letter)}"
    if not await app.push_screen_wait(confirm(question, f"{letter} it is", details=details, command=command)):
        return False
    released = await off_loop(app, lambda: app.workspace.variants.choose(campaign.id, letter))
    app.sending.look()
    app.tell(f"{letter} goes to {people(released)}.")
    return True


def _something(text: str) -> str:
    if not text:
        raise InvalidInput("It is empty.", hint="Say in which words it differs.")
    return text


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in words:
            raise InvalidInput(f"{shown(text)} is none of them.", hint=f"Say one of: {', '.join(words)}.")
        return text

    return check


def _within(least: int, most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
            raise InvalidInput(f"{shown(text)} is no number from {least} to {most:,}.")
        return int(text)

    return check
