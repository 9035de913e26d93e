"""Everything with one person, the latest first: what they did, what was sent, noted, changed and found out; and above
it what is still to come.

Each table tells its own rows in order of time, and they are merged while they are read: a page costs what is on it,
however long the story is.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.segments import select
from aicmo.errors import InvalidInput, NotFound, QueryInvalid, VerbHint
from aicmo.store import Database, changes, contacts, events, next_actions, notes, stages, suppressions
from aicmo.store import timeline as rows
from aicmo.store.changes import ChangedPerson, State
from aicmo.store.events import Event
from aicmo.store.stages import StageChange
from aicmo.store.suppressions import Suppression
from aicmo.text import one_line, plain, shown

KINDS = {
    **events.KINDS,
    "delivery": "a message of ours",
    "stage": "a step in the lifecycle",
    "change": "an edit",
    "enrichment": "what a provider knows",
    "verification": "a verdict on the address",
    "consent": "what they agreed to",
    "arrival": "how they came",
}
"""What a timeline can be narrowed to."""
MAX_NOTE = 10_000
"""Characters."""
_IN_A_SUMMARY = 60
"""Characters of a note by which undo names it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the story."""

    id: str
    """``event:12``: tells it apart, and says in which table it stands."""
    kind: str
    """A key of ``KINDS``."""
    at: str
    """RFC 3339; the day alone for a next action; empty for what waits without a time."""
    what: str
    """One phrase: ``replied``, ``NEW → ENRICHED``, ``sent by smtp-main``."""
    text: str = ""
    """The words of a note, the reason of a failure, the fields that changed."""
    campaign: str = ""
    """The name of the one it belongs to."""
    actor: str = ""
    human: bool | None = None
    """Whether a person did it; ``None``: nobody can tell, or it does not matter."""
    because: str = ""
    """Why we think so."""
    pinned: bool = False

    @property
    def cursor(self) -> str:
        """Where the next page begins, if this is the last one shown."""
        return f"{self.at} {self.id}"


@dataclass(frozen=True, slots=True)
class Page:
    to_come: tuple[Item, ...]
    """The soonest first. Only on the first page."""
    pinned: tuple[Item, ...]
    """The latest first. Only on the first page."""
    items: tuple[Item, ...]
    """The latest first."""
    cursor: str | None
    """What asks for the next page; ``None``: this is the last."""


@dataclass(frozen=True, slots=True)
class Why:
    """Why somebody is where they are."""

    stage: str
    arrival: Item
    """How they came; ``first_stage`` is where that put them."""
    first_stage: str
    steps: tuple[StageChange, ...]
    """Every step since, the oldest first: each begins where the one before it ended."""
    suppressed: Suppression | None
    """Why nobody may write to them, if so."""


class Timeline:
    """What happened with whom, and what a person writes down about it: each of these is a step of undo."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def page(
        self, contact_id: int, *, kinds: Iterable[str] = (), search: str = "", limit: int = 50, after: str = ""
    ) -> Page:
        """At most ``limit`` items that are of one of the ``kinds`` (none: any) and hold the words of ``search``.

        ``after`` is the cursor of the page before. Raises ``InvalidInput`` for a kind or a cursor that is none.
        """
        wanted = frozenset(kinds)
        if unknown := wanted - KINDS.keys():
            raise InvalidInput(f"There is no kind {shown(min(unknown))}.", hint=f"There are: {', '.join(KINDS)}.")
        start = _place(after) if after else None
        words, now = one_line(search).casefold().split(), self._clock.now()

        def fits(item: Item) -> bool:
            return (not wanted or item.kind in wanted) and _holds(item, words)

        def work(db: sqlite3.Connection) -> Page:
            found = (each for each in _past(db, contact_id, wanted, start) if fits(each))
            items = tuple(islice(found, limit + 1))
            more = len(items) > limit
            return Page(
                tuple(filter(fits, _to_come(db, contact_id, now))) if start is None else (),
                tuple(filter(fits, map(_event, rows.pinned(db, contact_id)))) if start is None else (),
                items[:limit],
                items[limit - 1].cursor if more else None,
            )

        return self._db.read(work)

    def why(self, contact_id: int) -> Why:
        """The receipts. Raises ``NotFound``."""

        def work(db: sqlite3.Connection) -> Why:
            entry = contacts.by_id(db, [contact_id]).get(contact_id)
            if entry is None:
                raise NotFound(f"There is no contact with the number {contact_id}.")
            steps = tuple(stages.history(db, contact_id, changes.steps_of_merged(db, contact_id)))
            return Why(
                entry.stage,
                next(map(_arrival, rows.arrival(db, contact_id))),
                steps[0].from_stage if steps else entry.stage,
                steps,
                suppressions.get(db, entry.address),
            )

        return self._db.read(work)

    def note(self, contact_id: int, text: str, *, pinned: bool = False) -> int:
        """Write a note down; its id. Raises ``InvalidInput`` for one that is empty or long."""
        now, words = self._clock.now(), _note(text)
        event = Event(contact_id, "note", now, human=True, text=words, actor="you", pinned=pinned)

        def work(db: sqlite3.Connection) -> int:
            added = events.add(db, event)
            assert added is not None  # only an event with an origin can be known already
            keys = notes.keys(added)
            before, after = dict.fromkeys(keys, ""), notes.state(db, contact_id, keys)
            _journal(db, event, before, after, "Wrote a note about", now)
            return added

        return self._db.write(work)

    def rewrite_note(self, event_id: int, text: str) -> None:
        """Raises ``NotFound`` when there is no such note, ``InvalidInput`` as ``note`` does."""
        words = _note(text)
        self._change(event_id, "Reworded", lambda db: events.rewrite(db, event_id, words))

    def pin(self, event_id: int, pinned: bool = True) -> None:
        """Keep an event above the others, or let it go again. Raises ``NotFound``."""
        self._change(event_id, "Pinned" if pinned else "Let go of", lambda db: events.pin(db, event_id, pinned))

    def delete_note(self, event_id: int) -> None:
        """Raises ``NotFound``, also for what is no note: only what a person wrote can be taken out of the story."""
        self._change(event_id, "Deleted", lambda db: events.delete_note(db, event_id))

    def _change(self, event_id: int, verb: str, change: Callable[[sqlite3.Connection], bool]) -> None:
        now, keys = self._clock.now(), notes.keys(event_id)

        def work(db: sqlite3.Connection) -> None:
            event = events.get(db, event_id)
            before = notes.state(db, event.contact_id, keys) if event else {}
            if event is None or not change(db):
                hint = VerbHint("Their numbers", "contact timeline EMAIL --kind note")
                raise NotFound(f"There is no note {event_id}.", hint=hint)
            what = "a note about" if event.kind == "note" else f"“{events.KINDS[event.kind]}” of"
            _journal(db, event, before, notes.state(db, event.contact_id, keys), f"{verb} {what}", now)

        self._db.write(work)


def _note(text: str) -> str:
    words = plain(text).strip()
    if not words:
        raise InvalidInput("A note needs words.")
    if len(words) > MAX_NOTE:
        raise InvalidInput(f"A note has at most {MAX_NOTE:,} characters.")
    return words


def _journal(db: sqlite3.Connection, event: Event, before: State, after: State, what: str, now: datetime) -> None:
    """Keep it as a step of undo; none when it was like that already. ``what`` begins its summary."""
    different = [key for key in after if after[key] != before[key]]
    if different:
        email, _ = stages.standing(db, event.contact_id)
        words = one_line(event.text, limit=_IN_A_SUMMARY)
        summary = ": ".join(filter(None, (f"{what} {email}", words)))
        change_id = changes.begin(db, "note", summary, "you", now)
        old, new = ({key: side[key] for key in different} for side in (before, after))
        changes.record(db, change_id, [ChangedPerson(event.contact_id, old, new)])


# --- merging ----------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """Where an item stands in the order of the story."""

    at: str
    table: str
    number: int


def _place(cursor: str) -> _Place:
    at, _, item_id = cursor.partition(" ")
    table, _, number = item_id.partition(":")
    if not at or not table or not number.isdecimal():
        raise InvalidInput(f"{shown(cursor)} is no place in a timeline.", hint="Use the cursor of the last item shown.")
    return _Place(at, table, int(number))


def _past(db: sqlite3.Connection, contact_id: int, kinds: frozenset[str], start: _Place | None) -> Iterator[Item]:
    until = start.at if start else rows.END

    def placed(source: _Source) -> Iterator[tuple[_Place, _Tell, sqlite3.Row]]:
        for row in source.ask(db, contact_id, until):
            yield _Place(row["at"], source.table, row["id"]), source.tell, row

    sources = [placed(source) for source in _SOURCES if not kinds or kinds & source.kinds]
    for place, tell, row in heapq.merge(*sources, key=itemgetter(0), reverse=True):
        if start is None or place < start:
            item = tell(row)
            if item.text or item.kind != "change":  # of a mere step in the lifecycle its receipt tells
                yield item


def _holds(item: Item, words: list[str]) -> bool:
    if not words:
        return True
    told = f"{item.what} {item.text} {item.campaign} {item.because} {item.actor}".casefold()
    return all(word in told for word in words)


def _to_come(db: sqlite3.Connection, contact_id: int, now: datetime) -> Iterator[Item]:
    """What waits for its time: the next action, deliveries in the queue, campaigns that will select them."""
    planned = next_actions.get(db, contact_id)
    if planned is not None:
        yield Item(f"next_action:{contact_id}", "change", planned.due.isoformat(), "next action", planned.text)
    for row in rows.to_come(db, contact_id):
        what = "will be tried again" if row["state"] == "deferred" else "waits to be sent"
        held = "the campaign is paused" if row["status"] == "paused" else row["reason"]
        yield Item(f"delivery:{row['id']}", "delivery", row["due"], what, held, row["campaign"])
    for row in rows.scheduled(db):
        with contextlib.suppress(QueryInvalid):  # a segment that is gone: the campaign's own check tells that
            if contacts.is_selected(db, contact_id, select(db, row["audience"])):
                yield Item(f"campaign:{row['id']}", "delivery", row["at"], "will be sent", "", row["name"])


# --- telling ----------------------------------------------------------------------------------------------------------


def _event(row: sqlite3.Row) -> Item:
    human = None if row["human"] is None else bool(row["human"])
    return Item(
        f"event:{row['id']}",
        row["kind"],
        row["at"],
        events.KINDS.get(row["kind"], row["kind"]),
        row["text"],
        row["campaign"] or "",
        row["actor"],
        human,
        row["because"],
        bool(row["pinned"]),
    )


def _delivery(row: sqlite3.Row) -> Item:
    state, by = row["state"], f" by {row['provider']}" if row["provider"] else ""
    what = {"sent": f"sent{by}", "failed": "not sent", "sending": f"being sent{by}"}.get(state, state)
    return Item(f"delivery:{row['id']}", "delivery", row["at"], what, row["reason"], row["campaign"])


def _stage(row: sqlite3.Row) -> Item:
    what = f"{row['from_stage']} → {row['to_stage']}"
    return Item(f"stage:{row['id']}", "stage", row["at"], what, row["cause"], "", row["actor"])


_UNTOLD = ("", "stage", "address", "domain", "next.due", "next.text")
"""The image of somebody deleted has the key "", a step of the lifecycle its own receipt, an address its e-mail; a plan
is told as a whole. A note stands in the story itself."""


def _difference(key: str, before: str, after: str) -> str:
    """One field, one phrase: ``title: “Analyst” → “CEO”``, ``no longer tagged “vip”``."""
    family, dot, name = key.partition(".")
    if family == "tag" and dot:
        return f"tagged {shown(after)}" if after else f"no longer tagged {shown(before)}"
    return f"{name if dot else key}: {shown(before) if before else 'nothing'} → {shown(after) if after else 'nothing'}"


def _change(row: sqlite3.Row) -> Item:
    before, after = json.loads(row["before"]), json.loads(row["after"])
    told = [
        _difference(key, str(before.get(key, "")), str(text))
        for key, text in after.items()
        if key not in _UNTOLD and not notes.is_key(key)
    ]
    if "next.due" in after:
        told.append(f"{after.get('next.text', '')}, {after['next.due']}" if after["next.due"] else "nothing any more")
    what = f"{row['kind']} (undone)" if row["undone_at"] else row["kind"]
    return Item(f"change:{row['id']}", "change", row["at"], what, ", ".join(told), "", row["actor"])


def _enrichment(row: sqlite3.Row) -> Item:
    facts = ", ".join(f"{name} = {text}" for name, text in json.loads(row["facts"]).items())
    return Item(f"enrichment:{row['id']}", "enrichment", row["at"], f"enriched by {row['provider']}", facts)


_OUTCOMES = {"asked": "asked, no answer yet", "no_match": "does not know them", "failed": "could not answer",
             "unknown": "may have answered"}  # fmt: skip


def _lookup(row: sqlite3.Row) -> Item:
    what = f"{row['provider']} {_OUTCOMES[row['outcome']]}"
    kind = "verification" if row["capability"] == "email_verification" else "enrichment"
    return Item(f"lookup:{row['id']}", kind, row["at"], what)


def _verification(row: sqlite3.Row) -> Item:
    what = f"address {row['status']}, says {row['provider']}"
    return Item(f"verification:{row['id']}", "verification", row["at"], what, row["word"])


def _consent(row: sqlite3.Row) -> Item:
    what = f"consent to {row['purpose']} {'given' if row['given'] else 'withdrawn'}"
    return Item(f"consent:{row['id']}", "consent", row["at"], what, row["wording"], "", row["source"])


def _arrival(row: sqlite3.Row) -> Item:
    if row["import_id"] is not None:
        what = f"imported from {one_line(row['source'])} (import {row['import_id']})"
    else:
        what = "added" if row["kind"] in (None, "add") else f"created by {row['kind']}"
    return Item(f"arrival:{row['id']}", "arrival", row["at"], what, "", "", row["actor"] or "")


_Tell = Callable[[Any], Item]


class _Source(NamedTuple):
    table: str
    """As the items' ids name it."""
    tell: _Tell
    ask: Callable[[sqlite3.Connection, int, str], Iterator[Any]]
    kinds: frozenset[str]
    """Which its items can be of."""


_SOURCES = (
    _Source("event", _event, rows.events, frozenset(events.KINDS)),
    _Source("delivery", _delivery, rows.deliveries, frozenset({"delivery"})),
    _Source("stage", _stage, rows.stages, frozenset({"stage"})),
    _Source("change", _change, rows.changes, frozenset({"change"})),
    _Source("enrichment", _enrichment, rows.enrichments, frozenset({"enrichment"})),
    _Source("lookup", _lookup, rows.fruitless_lookups, frozenset({"enrichment", "verification"})),
    _Source("verification", _verification, rows.verifications, frozenset({"verification"})),
    _Source("consent", _consent, rows.consents, frozenset({"consent"})),
    _Source("arrival", _arrival, rows.arrival, frozenset({"arrival"})),
)
