"""Changing a sequence's steps, and what that means for the people inside, said beforehand.

Pure functions over the steps and the number of people at each. A step keeps its number for good; an edit changes what
it says, when and for whom it goes, and its place in the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aicmo.errors import InvalidInput, NotFound, VerbHint
from aicmo.publishing.sequences.advancing import following, position
from aicmo.publishing.spans import told_span
from aicmo.store.messages import FIRST_STEP, Message
from aicmo.store.sequences import Places


@dataclass(frozen=True, slots=True)
class Add:
    """A further step."""

    content_id: int
    wait_minutes: int
    """After the step before it went."""
    only_if: str = ""
    """See ``advancing.condition``; empty: everybody gets it."""
    before: int | None = None
    """The step that it goes before; ``None``: it is the last."""


@dataclass(frozen=True, slots=True)
class Change:
    """Other words, another delay or another condition for a step."""

    step: int
    content_id: int | None = None
    """Its latest version; also where it was this content already. ``None`` leaves it."""
    wait_minutes: int | None = None
    only_if: str | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Nobody gets the step any more."""

    step: int


@dataclass(frozen=True, slots=True)
class Shift:
    """The step goes at another place in the order."""

    step: int
    before: int | None = None
    """The step that it goes before; ``None``: to the end."""


Edit = Add | Change | Remove | Shift


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an edit means for some of the people inside."""

    count: int
    """People."""
    who: str
    """As an attribute: ``waiting for step 2``."""
    what: str
    """As a sentence about them: ``they get step 4 first``."""

    @property
    def told(self) -> str:
        """On one line: ``12 waiting for step 2: they get step 4 first``."""
        return f"{self.count:,} {self.who}: {self.what}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What an edit makes of the steps, and of the people inside; everybody who ever entered is in one consequence."""

    steps: tuple[Message, ...]
    """Afterwards, without the first, with the removed ones."""
    step: int
    """The number of the one that it is about."""
    consequences: tuple[Consequence, ...]
    """Empty before the start."""


def edited(campaign_id: int, steps: Sequence[Message], edit: Edit) -> tuple[list[Message], int]:
    """The steps after ``edit``, in their order, and which of them it was about. Raises ``NotFound``, ``InvalidInput``.

    ``steps`` are all but the first, removed ones too.
    """
    ordered = list(steps)
    match edit:
        case Add(content_id, wait_minutes, only_if, before):
            number = max((each.step for each in ordered), default=FIRST_STEP) + 1
            added = Message(campaign_id, number, "", content_id, wait_minutes=wait_minutes, only_if=only_if)
            ordered.insert(_place(ordered, before), added)
        case Shift(number, before):
            moved = ordered.pop(_place(ordered, number))
            if number == before:
                raise InvalidInput(f"Step {number} cannot go before itself.", hint="Name another step.")
            ordered.insert(_place(ordered, before), moved)
        case Remove(number):
            place = _place(ordered, number)
            ordered[place] = replace(ordered[place], removed=True)
        case Change(1, int(), None, None):  # the first step's words are the campaign's own
            return ordered, FIRST_STEP
        case Change(number):
            place = _place(ordered, number)
            ordered[place] = _changed(ordered[place], edit)
    return [replace(each, position=FIRST_STEP + 1 + place) for place, each in enumerate(ordered)], number


def _place(steps: Sequence[Message], number: int | None) -> int:
    if number is None:
        return len(steps)
    if number == FIRST_STEP:
        raise InvalidInput(
            "The first step is where everybody begins: it stays the first, waits for nobody, and goes to all.",
            hint=VerbHint("Its words can be changed", "campaign step edit ID 1 --content ID"),
        )
    for place, each in enumerate(steps):
        if each.step == number and not each.removed:
            return place
    raise NotFound(f"There is no step {number}.", hint=VerbHint("See", "campaign step list ID"))


def _changed(message: Message, edit: Change) -> Message:
    return replace(
        message,
        content_id=message.content_id if edit.content_id is None else edit.content_id,
        version_id=message.version_id if edit.content_id is None else None,
        wait_minutes=message.wait_minutes if edit.wait_minutes is None else edit.wait_minutes,
        only_if=message.only_if if edit.only_if is None else edit.only_if,
    )


def consequences(
    before: Sequence[Message], after: Sequence[Message], edit: Edit, number: int, places: Places, queued: int
) -> tuple[Consequence, ...]:
    """What becomes of everybody who ever entered. ``queued`` of them stand in the ledger with step ``number``, unsent.

    ``before`` and ``after`` are all steps but the first, removed ones too.
    """
    counted: dict[tuple[str, str], int] = {}

    def count(people: int, who: str, what: str) -> None:
        if people:
            counted[who, what] = counted.get((who, what), 0) + people

    for last, people in sorted(places.active.items()):
        in_ledger = queued if last == number else 0
        count(in_ledger, f"with step {number} in the queue", _of_the_queued(edit))
        count(people - in_ledger, *_for_those_after(last, before, after, edit, number))
    count(places.done, "finished", "they are not brought back")
    count(sum(places.stopped.values()), "gone early", "they are not brought back")
    return tuple(Consequence(people, who, what) for (who, what), people in counted.items())


def _for_those_after(
    last: int, before: Sequence[Message], after: Sequence[Message], edit: Edit, number: int
) -> tuple[str, str]:
    """Who they are whose last step was ``last``, and what becomes of them."""
    had = frozenset(_passed(before, last))
    old, new = list(_path(before, last, frozenset())), list(_path(after, last, had))
    who = f"waiting for step {old[0]}" if old else f"past step {last}, the last"
    if old[:1] != new[:1]:
        return who, f"step {new[0]} is next for them" if new else "that was all for them"
    if number not in old and number not in new:
        return f"past step {number}" if old else who, "nothing changes for them"
    if number not in new:
        return f"on the way to step {number}", "they do not get it"
    if number not in old:
        return who, f"step {number} comes to them in its turn"
    if old[0] != number:
        return f"on the way to step {number}", "they get it in its turn, as it is then"
    return who, _of_the_waiting(edit)


def _passed(steps: Sequence[Message], last: int) -> Iterator[int]:
    """The steps up to ``last``, which one who is there has had or was passed over for."""
    return (each.step for each in steps if each.position <= position(steps, last))


def _path(steps: Sequence[Message], last: int, had: frozenset[int]) -> Iterator[int]:
    """The steps that are still to come after ``last``."""
    while (message := following(steps, last, had)) is not None:
        yield message.step
        last = message.step


def _of_the_queued(edit: Edit) -> str:
    if isinstance(edit, Change) and edit.content_id is not None:
        return "they get the new words"
    return "they get it all the same"


def _of_the_waiting(edit: Edit) -> str:
    if not isinstance(edit, Change):
        return "nothing changes for them"
    said = []
    if edit.content_id is not None:
        said.append("they get the new words")
    if edit.wait_minutes is not None:
        said.append(f"it is due {told_span(edit.wait_minutes)} after the step before it went, now if that is past")
    if edit.only_if is not None:
        said.append(f"those get it whom {edit.only_if} selects" if edit.only_if else "all of them get it")
    return ", ".join(said) or "nothing changes for them"
