"""What to do today: what was planned for it, what is overdue, and who has not been heard of for too long.

At most one next action stands with a person, on a day in the planner's own zone. Planning, doing and putting off are
steps of undo.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.days import parse_day
from aicmo.crm.icalendar import CalendarDay, calendar
from aicmo.errors import InvalidInput, NotFound, VerbHint
from aicmo.store import Database, changes, events, meta, next_actions, notes, touches
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import Contact
from aicmo.store.events import Event
from aicmo.store.next_actions import NextAction, Planned
from aicmo.store.touches import Quiet
from aicmo.text import one_line

NO_TOUCH_DAYS = 30
MAX_TEXT = 500
"""Characters of a next action."""
_NONE = {"next.due": "", "next.text": ""}


@dataclass(frozen=True, slots=True)
class Day:
    """One look at a day."""

    today: date
    overdue: tuple[Planned, ...]
    """The longest overdue first."""
    due: tuple[Planned, ...]
    quiet: tuple[Quiet, ...]
    """The longest silent first; at most as many as were asked for."""
    no_touch_days: int
    """How long is too long."""


class Today:
    def __init__(
        self,
        db: Database,
        clock: Clock = SYSTEM_CLOCK,
        *,
        no_touch_days: int = NO_TOUCH_DAYS,
        zone: tzinfo | None = None,
    ) -> None:
        """``zone``: where a day begins and ends; ``None`` is the machine's."""
        self._db, self._clock, self._zone = db, clock, zone
        self._no_touch_days = no_touch_days

    def date(self) -> date:
        return self._clock.now().astimezone(self._zone).date()

    def look(self, *, quiet_limit: int = 50, no_touch_days: int | None = None) -> Day:
        """What is due, overdue and silent now."""
        today, days = self.date(), self._no_touch_days if no_touch_days is None else no_touch_days
        before = self._clock.now() - timedelta(days=days)

        def work(db: sqlite3.Connection) -> Day:
            planned = next_actions.planned(db, until=today)
            return Day(
                today,
                tuple(each for each in planned if each.due < today),
                tuple(each for each in planned if each.due == today),
                tuple(touches.quiet(db, before, limit=quiet_limit)),
                days,
            )

        return self._db.read(work)

    def waiting(self) -> int:
        """With how many people something is due or overdue: cheap enough to be asked all the time."""
        today = self.date()
        return self._db.read(lambda db: next_actions.how_many(db, until=today))

    def next_action(self, contact_id: int) -> NextAction | None:
        return self._db.read(lambda db: next_actions.get(db, contact_id))

    def plan(self, contact: Contact, text: str, on: str) -> NextAction:
        """Plan the one next thing with somebody, in place of another; ``on`` is what ``parse_day`` reads."""
        words = action_words(text)
        due = parse_day(on, self.date())
        wanted = {"next.due": due.isoformat(), "next.text": words}
        self._db.write(lambda db: self._record(db, contact, wanted, f"Planned with {contact.email}: {words}"))
        return NextAction(contact.id, due, words)

    def done(self, contact: Contact) -> NextAction:
        """The next action was done: it leaves a note, which counts as a touch. Raises ``NotFound`` without one."""

        def work(db: sqlite3.Connection) -> NextAction:
            planned = _planned(db, contact)
            now = self._clock.now()
            done = Event(contact.id, "note", now, human=True, text=f"Done: {planned.text}", actor="you")
            noted = events.add(db, done)
            assert noted is not None  # only an event with an origin can be known already
            note = notes.state(db, contact.id, notes.keys(noted))
            self._record(db, contact, {**_NONE, **note}, f"Done with {contact.email}: {planned.text}")
            return planned

        return self._db.write(work)

    def snooze(self, contact: Contact, until: str) -> NextAction:
        """Put the next action off: ``2d`` is two days after it was due, or after today if that has passed.

        Raises ``NotFound`` without one.
        """

        def work(db: sqlite3.Connection) -> NextAction:
            planned = _planned(db, contact)
            due = parse_day(until, max(planned.due, self.date()))
            wanted = {"next.due": due.isoformat(), "next.text": planned.text}
            self._record(db, contact, wanted, f"Put off with {contact.email}: {planned.text}")
            return NextAction(contact.id, due, planned.text)

        return self._db.write(work)

    def calendar(self) -> str:
        """Every plan, today's and those to come and those overdue, as an iCalendar file."""

        def work(db: sqlite3.Connection) -> tuple[Sequence[Planned], bytes]:
            return next_actions.planned(db), meta.identity(db).instance

        planned, instance = self._db.read(work)
        days = (
            CalendarDay(
                f"next-{each.contact_id}@{instance.hex()}",
                each.due,
                f"{each.text}: {each.name or each.email}",
                "\n".join(filter(None, (each.email, each.phone, each.company))),
            )
            for each in planned
        )
        return calendar(days, self._clock.now())

    def _record(self, db: sqlite3.Connection, contact: Contact, wanted: Mapping[str, str], summary: str) -> None:
        now = self._clock.now()
        before = dict.fromkeys(wanted, "") | next_actions.by_contact(db, [contact.id]).get(contact.id, _NONE)
        next_actions.set_state(db, contact.id, wanted, now)
        change_id = changes.begin(db, "plan", summary, "you", now)
        changes.record(db, change_id, [ChangedPerson(contact.id, before, wanted)])


def action_words(text: str) -> str:
    """What is to be done, as it is kept. Raises ``InvalidInput``."""
    words = one_line(text)
    if not words:
        raise InvalidInput(
            "A next action needs words.", hint=VerbHint("Say what", 'contact next EMAIL "call" --on +3d')
        )
    if len(words) > MAX_TEXT:
        raise InvalidInput(f"A next action has at most {MAX_TEXT} characters.")
    return words


def _planned(db: sqlite3.Connection, contact: Contact) -> NextAction:
    found = next_actions.get(db, contact.id)
    if found is None:
        raise NotFound(
            f"Nothing is planned with {contact.email}.",
            hint=VerbHint("Plan it", f'contact next {shlex.quote(contact.email)} "call" --on tomorrow'),
        )
    return found
