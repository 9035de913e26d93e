"""What was changed, to be looked at, taken back and done again, also by another program and after a restart.

Taking back never overwrites what somebody changed since: that value is kept, and named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import groupby

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.store import Database, changes, undoing
from aicmo.store.changes import Change
from aicmo.store.undoing import Kept, Reverted

NOT_TAKEN_BACK = "Consent and opt-outs are never undone with it."
"""Said where somebody may count on it: no keystroke may have a person written to who said no."""


def told(kept: Iterable[Kept]) -> Iterator[str]:
    """What was left alone, and why: a sentence for each value, and one for each person who stays or is gone."""
    for _, group in groupby(kept, key=lambda each: each.contact_id):
        of_one = list(group)
        if not of_one[0].email:
            yield "Somebody who is gone since is left out."
            continue
        came = [_named(each.field) for each in of_one if each.stays]
        if came:
            yield f"{of_one[0].email} stays, because of what came since: {', '.join(dict.fromkeys(came))}."
        for each in of_one:
            if each.now == undoing.TAKEN:
                yield f"{each.email} is not brought back: somebody else has that address now."
            elif not each.stays:
                said = f"stays {_value(each.now)}, and is not {_value(each.wanted)} again"
                yield f"{each.email}: {_named(each.field)} {said}."


def outcome(done: str, turned: Reverted) -> str:
    """What came of it in one phrase: ``Undone: tagged 3 people vip``; for how many, where something was left alone."""
    whom = "1 person" if turned.people == 1 else f"{turned.people:,} people"
    part = f" in part, for {whom}" if turned.kept or turned.unnamed else ""
    return f"{done}{part}: {turned.change.phrase}"


def _named(field: str) -> str:
    """A key of a state, or a table of what happened, as a person reads it: ``tag vip``, ``note 12``."""
    return field.removesuffix("_change").removeprefix("field.").replace("_", " ").replace(".", " ")


def _value(text: str) -> str:
    return f"“{text}”" if text else "empty"


class History:
    """The steps of undo. A step is one verb, however many people it touched."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def list(self, *, limit: int = -1) -> tuple[Change, ...]:
        """The newest first; -1 is all there are."""
        return tuple(self._db.read(lambda db: changes.listed(db, limit=limit)))

    def next_to_undo(self) -> Change | None:
        """The last thing a person did that stands."""
        return self._db.read(changes.next_to_undo)

    def next_to_redo(self) -> Change | None:
        """What was undone last, unless a person did something else since."""
        return self._db.read(changes.next_to_redo)

    def undo(self, change_id: int | None = None) -> Reverted | None:
        """Take back the last thing a person did, or the named change; ``None`` when there is nothing to take back.

        Raises ``NotFound``, or ``IllegalTransition`` when it is undone already.
        """
        return self._turn(changes.next_to_undo, undoing.undo, change_id)

    def redo(self, change_id: int | None = None) -> Reverted | None:
        """Do again what was undone last, or the named change; ``None`` when there is nothing.

        Raises ``NotFound``, or ``IllegalTransition`` when it stands.
        """
        return self._turn(changes.next_to_redo, undoing.redo, change_id)

    def _turn(
        self,
        next_one: Callable[[sqlite3.Connection], Change | None],
        turn: Callable[[sqlite3.Connection, int, str, datetime], Reverted],
        change_id: int | None,
    ) -> Reverted | None:
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> Reverted | None:
            number = change_id
            if number is None and (found := next_one(db)) is not None:
                number = found.id
            return None if number is None else turn(db, number, "you", now)

        return self._db.write(work)
