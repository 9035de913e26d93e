"""The few verbs that the screens and the command line share. All block: the caller chooses the thread."""

from __future__ import annotations

import difflib
import shlex
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, TextIO, Unpack

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm import lifecycle
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.editing import (
    Edit,
    Edited,
    EditResult,
    checked,
    checked_for_many,
    custom_fields,
    delete_all,
    edit_all,
    edit_one,
    value,
)
from aicmo.crm.editing import preview as preview_of
from aicmo.crm.exporting import export_csv
from aicmo.crm.fields import fitted
from aicmo.crm.importing import ImportOptions, ImportResult, import_contacts
from aicmo.crm.lifecycle import stage_named
from aicmo.crm.portrait import Portrait, portrait
from aicmo.crm.segments import select
from aicmo.crm.spreadsheet import create_csv
from aicmo.errors import InvalidInput, NotFound, VerbHint
from aicmo.store import Database, changes, contacts
from aicmo.store import tags as tag_store
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import SORTS, Contact, Entry
from aicmo.store.events import Event
from aicmo.store.selection import Selection, among
from aicmo.store.tags import TagCount
from aicmo.text import one_line, shown

Who = str | Sequence[int]
"""Some people: a query, one address (``NotFound`` when nobody has it), or their ids."""


class CRMRepository:
    """People in the store. A ``query`` is what ``segments.select`` reads; each verb raises its ``QueryInvalid``."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def count(self, query: str = "") -> int:
        selection = self._selection(query)
        return self._db.read(lambda connection: contacts.count(connection, selection))

    def list(self, query: str = "", *, limit: int = 100, offset: int = 0) -> tuple[Contact, ...]:
        """At most ``limit`` of those the query selects, by when they came."""
        selection = self._selection(query)
        return tuple(self._db.read(lambda connection: contacts.window(connection, selection, offset, limit)))

    def iterate(self, query: str = "", *, limit: int = -1, sort: str = "added") -> Iterator[Contact]:
        """Those the query selects, streamed; ``sort`` is a key of ``SORTS``, with ``-`` before it for the other way
        round."""
        selection, key = self._selection(query), sort.removeprefix("-")
        if key not in SORTS:
            raise InvalidInput(f"Nobody can be sorted by {shown(key)}.", hint=f"Choose one of: {', '.join(SORTS)}.")
        return self._streamed(selection, limit, key, sort.startswith("-"))

    def _selection(self, query: str) -> Selection:
        now = self._clock.now()
        return self._db.read(lambda connection: select(connection, query, now=now))

    def _streamed(self, selection: Selection, limit: int, sort: str, descending: bool) -> Iterator[Contact]:
        with self._db.reading() as connection:
            yield from contacts.iterate(connection, selection, limit=limit, sort=sort, descending=descending)

    def get(self, email: str) -> Contact:
        """The contact with that address, however it is spelled, also one that was merged into them.

        Raises ``NotFound`` with the nearest one.
        """
        try:
            address = normalise(email).address
        except NotAnAddress:
            address = one_line(email).lower()
        found = self._db.read(lambda connection: contacts.owner(connection, address))
        if found is not None:
            return found
        like = self._db.read(lambda connection: contacts.addresses_like(connection, address))
        nearest = difflib.get_close_matches(address, like, n=1)
        raise NotFound(
            f"There is no contact {shown(email)}.",
            hint=f"Did you mean {nearest[0]}?" if nearest else VerbHint("Look for them with", "contact list WORDS"),
        )

    def portrait(self, contact_id: int) -> Portrait:
        """All that is known of one person at a glance. Raises ``NotFound``."""
        return self._db.read(lambda connection: portrait(connection, contact_id))

    def select(self, who: Who) -> Sequence[int]:
        """The ids of those who are meant now, for verbs that ask a person first and then do it to the same ones."""
        if not isinstance(who, str):
            return who
        try:
            normalise(who)
        except NotAnAddress:
            selection = self._selection(who)
            return self._db.read(lambda db: contacts.ids(db, selection))
        return [self.get(who).id]

    def add(
        self,
        email: str,
        *,
        first_name: str = "",
        last_name: str = "",
        company: str = "",
        title: str = "",
        phone: str = "",
        stage: str = "NEW",
        fields: Mapping[str, str] | None = None,
        tags: Iterable[str] = (),
    ) -> Contact:
        """Add one person. Raises ``InvalidInput``, also when the address is already there."""
        address, email, domain = normalise(email)
        custom = {key: text for key, text in custom_fields(fields or {}).items() if text}
        given = Entry(
            address,
            email,
            value(first_name),
            value(last_name),
            value(company),
            value(title),
            value(phone),
            domain,
            stage_named(stage),
            custom,
            frozenset(name for text in tags for name in tag_store.split_tags(text)),
        )
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> Contact:
            if contacts.owner(db, address) is not None:
                raise InvalidInput(
                    f"{address} is already a contact.",
                    hint=VerbHint("See it with", f"contact show {shlex.quote(address)}"),
                )
            entry = given._replace(
                fields=fitted(db, custom), tags=frozenset(tag_store.spelling(db, name) for name in given.tags)
            )
            contacts.insert(db, [entry], now)
            added = contacts.get(db, address)
            assert added is not None
            change_id = changes.begin(db, "add", f"Added {email}", "you", now)
            changes.record(db, change_id, [ChangedPerson(added.id, None, changes.state_of(contacts.as_entry(added)))])
            return added

        return self._db.write(work)

    def edit(self, base: Contact, mine: Mapping[str, str], *, because: str = "", demote: bool = False) -> EditResult:
        """Change one person, of whom ``base`` is what was seen when the edit began; see ``editing.edit_one``.

        ``mine`` is said as ``changes.State``: ``title``, ``field.city``, ``tag.vip``, ``stage``, ``email``; empty
        clears.
        """
        now = self._clock.now()
        return self._db.write(lambda db: edit_one(db, base, Edit(checked(db, mine), now, one_line(because), demote)))

    def edit_all(self, who: Who, values: Mapping[str, str], *, because: str = "", demote: bool = False) -> EditResult:
        """Change many people alike, as one step of undo; see ``editing.edit_all``."""
        ids, now = self.select(who), self._clock.now()

        def work(db: sqlite3.Connection) -> EditResult:
            return edit_all(db, ids, Edit(checked_for_many(db, values), now, one_line(because), demote))

        return self._db.write(work)

    def preview(self, who: Who, values: Mapping[str, str]) -> tuple[Edited, ...]:
        """What ``edit_all`` would do to the first people, before it does it; see ``editing.preview``."""
        ids, now = self.select(who), self._clock.now()
        return self._db.read(lambda db: preview_of(db, ids, Edit(checked_for_many(db, values), now)))

    def tag(self, who: Who, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> EditResult:
        """Add and remove tags, as one step of undo."""
        wanted = {f"tag.{name}": "" for text in remove for name in tag_store.split_tags(text)}
        wanted |= {f"tag.{name}": name for text in add for name in tag_store.split_tags(text)}
        return self.edit_all(who, wanted)

    def delete(self, who: Who) -> EditResult:
        """Delete people with all that is theirs; undo brings it back."""
        ids, now = self.select(who), self._clock.now()
        return self._db.write(lambda db: delete_all(db, ids, now))

    def record_event(self, event: Event) -> int | None:
        """Write down what happened, and move the person where it puts them; see ``lifecycle.record_event``."""
        now = self._clock.now()
        return self._db.write(lambda db: lifecycle.record_event(db, event, now))

    def tags(self) -> tuple[TagCount, ...]:
        """Every tag in use, by name."""
        return tuple(self._db.read(tag_store.listed))

    def export(self, who: str | Sequence[int], file: Path | TextIO) -> int:
        """Write those whom a query selects, or who have these ids, as CSV; how many they were.

        A path is written for its owner alone; a stream must be open with ``newline=""``.
        """
        selection = self._selection(who) if isinstance(who, str) else Selection(among(who))
        if not isinstance(file, Path):
            return self._db.read(lambda connection: export_csv(connection, selection, file))
        with create_csv(file) as stream:
            return self._db.read(lambda connection: export_csv(connection, selection, stream))

    def import_file(self, source: Path | BinaryIO, **options: Unpack[ImportOptions]) -> ImportResult:
        """``importing.import_contacts`` into this store, with its options."""
        return import_contacts(self._db, source, clock=self._clock, **options)
