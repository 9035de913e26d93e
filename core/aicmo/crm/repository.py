"""The few verbs that the screens and the command line share. All block: the caller chooses the thread."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, TextIO

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.exporting import export_csv
from aicmo.crm.importing import MAX_VALUE, ImportProgress, ImportResult, Policy, import_contacts
from aicmo.crm.mapping import FIELDS, MAX_CUSTOM_FIELDS, custom_key
from aicmo.crm.query import parse_query
from aicmo.crm.spreadsheet import create_csv
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, contacts
from aicmo.store import tags as tag_store
from aicmo.store.contacts import SORTS, STAGES, Contact, Entry
from aicmo.store.selection import Selection, Term
from aicmo.store.tags import TagCount
from aicmo.text import one_line, shown


class CRMRepository:
    """People in the store. A ``query`` is what ``parse_query`` reads; each verb raises its ``QueryInvalid``."""

    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def count(self, query: str = "") -> int:
        selection = parse_query(query)
        return self._db.read(lambda connection: contacts.count(connection, selection))

    def list(self, query: str = "", *, limit: int = 100, offset: int = 0) -> tuple[Contact, ...]:
        """At most ``limit`` of those the query selects, by when they came."""
        selection = parse_query(query)
        return tuple(self._db.read(lambda connection: contacts.window(connection, selection, offset, limit)))

    def iterate(self, query: str = "", *, limit: int = -1, sort: str = "added") -> Iterator[Contact]:
        """Those the query selects, streamed; ``sort`` is a key of ``SORTS``, with ``-`` before it for the other way
        round."""
        selection, key = parse_query(query), sort.removeprefix("-")
        if key not in SORTS:
            raise InvalidInput(f"Nobody can be sorted by {shown(key)}.", hint=f"Choose one of: {', '.join(SORTS)}.")
        return self._streamed(selection, limit, key, sort.startswith("-"))

    def _streamed(self, selection: Selection, limit: int, sort: str, descending: bool) -> Iterator[Contact]:
        with self._db.reading() as connection:
            yield from contacts.iterate(connection, selection, limit=limit, sort=sort, descending=descending)

    def get(self, email: str) -> Contact:
        """The contact with that address, however it is spelled. Raises ``NotFound`` with the nearest one."""
        try:
            address = normalise(email).address
        except NotAnAddress:
            address = one_line(email).lower()
        found = self._db.read(lambda connection: contacts.get(connection, address))
        if found is not None:
            return found
        like = self._db.read(lambda connection: contacts.addresses_like(connection, address))
        nearest = difflib.get_close_matches(address, like, n=1)
        raise NotFound(
            f"There is no contact {shown(email)}.",
            hint=f"Did you mean {nearest[0]}?" if nearest else "Look for them with: aicmo contact list WORDS",
        )

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
        if stage.upper() not in STAGES:
            raise InvalidInput(f"There is no stage {shown(stage)}.", hint=f"There are: {', '.join(STAGES)}.")
        entry = Entry(
            address,
            email,
            _value(first_name),
            _value(last_name),
            _value(company),
            _value(title),
            _value(phone),
            domain,
            stage.upper(),
            _custom(fields or {}),
            frozenset(name for text in tags for name in tag_store.split_tags(text)),
        )

        def work(connection: sqlite3.Connection) -> Contact | None:
            if contacts.get(connection, address) is not None:
                return None
            contacts.insert(connection, [entry], self._clock.now())
            return contacts.get(connection, address)

        added = self._db.write(work)
        if added is None:
            raise InvalidInput(f"{address} is already a contact.", hint=f"See it with: aicmo contact show {address}")
        return added

    def tag(self, who: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
        """Add and remove tags on those whom a query selects, or on the one contact with that address.

        How many contacts were changed. Raises ``NotFound`` for an address that is not there.
        """
        selection = self._one_or_selected(who)
        added = [name for text in add for name in tag_store.split_tags(text)]
        removed = [name for text in remove for name in tag_store.split_tags(text)]
        return self._db.write(lambda db: contacts.tag(db, selection, added, removed, self._clock.now()))

    def tags(self) -> tuple[TagCount, ...]:
        """Every tag in use, by name."""
        return tuple(self._db.read(tag_store.listed))

    def export(self, query: str, file: Path | TextIO) -> int:
        """Write those whom the query selects as CSV; how many they were. A path is written for its owner alone.

        A stream must be open with ``newline=""``.
        """
        selection = parse_query(query)
        if not isinstance(file, Path):
            return self._db.read(lambda connection: export_csv(connection, selection, file))
        with create_csv(file) as stream:
            return self._db.read(lambda connection: export_csv(connection, selection, stream))

    def import_file(
        self,
        source: Path | BinaryIO,
        *,
        mapping: Mapping[str, str] | None = None,
        policy: Policy = "fill",
        tags: Iterable[str] = (),
        dry_run: bool = False,
        rejected_file: Path | None = None,
        encoding: str | None = None,
        progress: Callable[[ImportProgress], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> ImportResult:
        """``importing.import_contacts`` into this store."""
        return import_contacts(
            self._db,
            source,
            mapping=mapping,
            policy=policy,
            tags=tags,
            dry_run=dry_run,
            rejected_file=rejected_file,
            encoding=encoding,
            clock=self._clock,
            progress=progress,
            cancelled=cancelled,
        )

    def _one_or_selected(self, who: str) -> Selection:
        try:
            address = normalise(who).address
        except NotAnAddress:
            return parse_query(who)
        return Selection((Term("address", self.get(address).address),))


def _value(text: str) -> str:
    value = one_line(text)
    if len(value) > MAX_VALUE:
        raise InvalidInput(f"{shown(value, limit=40)} is longer than {MAX_VALUE:,} characters.")
    return value


def _custom(fields: Mapping[str, str]) -> dict[str, str]:
    custom: dict[str, str] = {}
    for name, text in fields.items():
        key = custom_key(name)
        if key in FIELDS:
            raise InvalidInput(f"{shown(name)} is not a custom field; it means {key}.")
        if value := _value(text):
            custom[key] = value
    if len(custom) > MAX_CUSTOM_FIELDS:
        raise InvalidInput(f"More than {MAX_CUSTOM_FIELDS} custom fields.")
    return custom
