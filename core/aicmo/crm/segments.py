"""Segments: queries under a name, always as of now, and what became of them since they were last looked at.

A segment holds no people: whoever asks for it asks its query anew. Beside it stands who was in it when it was made, or
when the person last said to remember; the difference is who joined and who left. Looking alone remembers nothing.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.query import SavedQuery, parse_query, segments_in
from aicmo.crm.query_keys import nearest
from aicmo.errors import InvalidInput, NotFound, QueryInvalid, VerbHint
from aicmo.store import Database, campaigns, contacts, messages
from aicmo.store import segments as store
from aicmo.store.campaigns import CampaignStatus
from aicmo.store.contacts import Contact
from aicmo.store.segments import Segment
from aicmo.store.selection import And, Not, Selection, Term
from aicmo.text import one_line, shown

MAX_NAME = 100
"""Characters."""
_OVER = (CampaignStatus.FINISHED, CampaignStatus.CANCELLED)


def select(db: sqlite3.Connection, query: str, *, now: datetime | None = None, of: str | None = None) -> Selection:
    """``parse_query`` with the segments that there are. Whatever is asked of people who stand in the store comes
    through here. Raises ``QueryInvalid``."""
    saved = {store.key_of(each.name): SavedQuery(each.name, each.query) for each in store.listed(db)}
    return parse_query(query, now=now, segments=saved, of=of)


@dataclass(frozen=True, slots=True)
class SegmentState:
    """A segment as it stands."""

    segment: Segment
    count: int = 0
    joined: int = 0
    """Since ``segment.looked_at``."""
    left: int = 0
    """Likewise; those who were deleted are not among them."""
    problem: str = ""
    """Why its query cannot be asked any more; the counts are 0 then."""


@dataclass(frozen=True, slots=True)
class Move:
    """Somebody who is not where they were."""

    joined: bool
    """Else they left."""
    contact: Contact


class Segments:
    """The verbs over segments. A name is found in whatever case. All block: the caller chooses the thread."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def list(self) -> tuple[SegmentState, ...]:
        """Every one with its counts, by name."""
        now = self._clock.now()
        return self._db.read(lambda db: tuple(_state(db, each, now) for each in store.listed(db)))

    def get(self, name: str) -> SegmentState:
        """Raises ``NotFound`` with the nearest one."""
        now = self._clock.now()
        return self._db.read(lambda db: _state(db, _named(db, name), now))

    def create(self, name: str, query: str) -> SegmentState:
        """Save ``query`` under ``name``, and remember who is in it. Raises ``InvalidInput`` for a taken name."""
        name, query, now = _checked_name(name), query.strip(), self._clock.now()

        def work(db: sqlite3.Connection) -> SegmentState:
            _refuse_taken(db, name)
            selection = select(db, query, now=now)
            store.remember(db, store.create(db, name, query, now), selection, now)
            return _state(db, _named(db, name), now)

        return self._db.write(work)

    def edit(self, name: str, *, query: str | None = None, new_name: str | None = None) -> SegmentState:
        """Change its query or its name. Who was in it stays remembered, so the counts show what the edit did.

        Raises ``NotFound``, ``QueryInvalid`` also when it would be made of itself, and ``InvalidInput`` for a name that
        is taken, or one that others use.
        """
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> SegmentState:
            segment = _named(db, name)
            called = segment.name if new_name is None else _checked_name(new_name)
            if store.key_of(called) != store.key_of(segment.name):
                _refuse_taken(db, called)
                _refuse_used(db, segment)
            asked = segment.query if query is None else query.strip()
            store.update(db, segment.id, called, asked)
            select(db, asked, now=now, of=called)
            return _state(db, _named(db, called), now)

        return self._db.write(work)

    def delete(self, name: str) -> Segment:
        """Forget the name; its people stay. Raises ``NotFound``, and ``InvalidInput`` when others use it."""

        def work(db: sqlite3.Connection) -> Segment:
            segment = _named(db, name)
            _refuse_used(db, segment)
            store.delete(db, segment.id)
            return segment

        return self._db.write(work)

    def moves(self, name: str) -> Iterator[Move]:
        """Who joined and who left since it was looked at, streamed. Raises ``NotFound`` or ``QueryInvalid``."""
        now = self._clock.now()
        with self._db.reading() as db:
            segment = _named(db, name)
            joined, left = _changes(segment, select(db, segment.query, now=now, of=segment.name))
            for whether, selection in ((True, joined), (False, left)):
                for contact in contacts.iterate(db, selection):
                    yield Move(whether, contact)

    def remember(self, name: str) -> SegmentState:
        """From now on, joined and left count from here; the counts it returns are those until now."""
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> SegmentState:
            segment = _named(db, name)
            selection = select(db, segment.query, now=now, of=segment.name)
            before = _state(db, segment, now)
            store.remember(db, segment.id, selection, now)
            return before

        return self._db.write(work)


def _state(db: sqlite3.Connection, segment: Segment, now: datetime) -> SegmentState:
    try:
        selection = select(db, segment.query, now=now, of=segment.name)
    except QueryInvalid as error:
        return SegmentState(segment, problem=error.message)
    count = contacts.count(db, selection)
    joined = contacts.count(db, _changes(segment, selection)[0])
    return SegmentState(segment, count, joined, store.remembered(db, segment.id) - (count - joined))


def _changes(segment: Segment, selection: Selection) -> tuple[Selection, Selection]:
    """Who joined, and who left."""
    before = Term("remembered", str(segment.id))
    return Selection(And((selection.node, Not(before)))), Selection(And((before, Not(selection.node))))


def _named(db: sqlite3.Connection, name: str) -> Segment:
    found = store.get(db, name)
    if found is None:
        names = [each.name for each in store.listed(db)]
        raise NotFound(
            f"There is no segment {shown(name)}.",
            hint=nearest(one_line(name), names) if names else VerbHint("Make one with", "segment create NAME QUERY"),
        )
    return found


def _checked_name(text: str) -> str:
    name = one_line(text)
    if not name:
        raise InvalidInput("The name is empty.", hint="Give the segment a name to find it by.")
    if '"' in name or len(name) > MAX_NAME:
        raise InvalidInput(
            f"{shown(name)} cannot be a segment's name.",
            hint=f'It stands in quotes, segment:"Name": at most {MAX_NAME} characters, and no quote among them.',
        )
    return name


def _refuse_taken(db: sqlite3.Connection, name: str) -> None:
    taken = store.get(db, name)
    if taken is not None:
        raise InvalidInput(
            f"There is a segment {shown(taken.name)} already.",
            hint=VerbHint(
                f"It asks: {taken.query or 'everybody'}. Change it with", f"segment edit {shlex.quote(taken.name)}"
            ),
        )


def _refuse_used(db: sqlite3.Connection, segment: Segment) -> None:
    """A name that others ask by stays: segments, and campaigns that are not over, with the steps of their sequences."""
    key = store.key_of(segment.name)
    users = [f"the segment {shown(each.name)}" for each in store.listed(db) if key in segments_in(each.query)]
    for campaign in campaigns.listed(db):
        if campaign.status in _OVER:
            continue
        if key in segments_in(campaign.audience) | segments_in(campaign.exclude):
            users.append(f"campaign {campaign.id}")
        steps = [each.step for each in messages.steps(db, campaign.id) if key in segments_in(each.only_if)]
        users += [f"step {step} of campaign {campaign.id}" for step in steps]
    if users:
        raise InvalidInput(
            f"The segment {shown(segment.name)} is used by {', '.join(users)}.", hint="Change what they ask first."
        )
