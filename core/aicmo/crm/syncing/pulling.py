"""A page of rows from there: whose each is, what becomes of them, and how that is written down.

What becomes of a page is decided without writing, so a dry run decides the same. It is then written in the transaction
that decided it: people, the step of undo, stages with their receipts, opt-outs, links, conflicts. A row is somebody's
by its link, else by the name that we gave it, else by its address. Whom a person deleted here is not brought back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from aicmo.clock import parse_rfc3339
from aicmo.crm.address import Address, NotAnAddress, normalise
from aicmo.crm.syncing.agreeing import Agreement, Rule, Terms, agree
from aicmo.crm.syncing.columns import YES, Columns, Pair, as_text, told
from aicmo.crm.syncing.result import EXAMPLES, Conflict, SyncResult
from aicmo.crm.syncing.row_ids import RowIds
from aicmo.gateways.records import CrmRecord
from aicmo.store import changes, contacts, imports, stages, suppressions, syncs
from aicmo.store import tags as tag_store
from aicmo.store.changes import ChangedPerson
from aicmo.store.contacts import STAGES, Entry
from aicmo.store.suppressions import SuppressionReason
from aicmo.store.syncs import Link, Times
from aicmo.store.tags import split_tags

ID = "id"
"""Under which a link keeps what stood in the merge column."""
_NOBODY = Entry("", "", "", "", "", "", "", "", STAGES[0], {}, frozenset())


@dataclass(frozen=True, slots=True)
class Reading:
    """What all pages of one sync have in common."""

    provider: str
    crm: str
    """What a person calls it."""
    columns: Columns
    ids: RowIds
    rule: Rule
    may_take: bool
    """Whether anything may be changed here."""
    scope: Collection[int] | None
    """Only these people, and nobody new; ``None``: everybody."""
    actor: str
    by_person: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and the fields that are compared."""

    record: CrmRecord
    pairs: Sequence[Pair]


@dataclass(frozen=True, slots=True)
class Person:
    """What becomes of the person of one row."""

    contact_id: int
    """0 for one who is to be created."""
    record_id: str
    old: Entry
    new: Entry
    agreement: Agreement
    seen: dict[str, str]
    was_suppressed: bool

    @property
    def named(self) -> bool:
        """Whether the row has a name already."""
        return bool(self.seen.get(ID))

    @property
    def sends(self) -> bool:
        return bool(self.agreement.sends) or not self.named


@dataclass(slots=True)
class Plan:
    people: list[Person] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    """Why, a sentence each; empty for one who was not asked for."""
    rejected: list[str] = field(default_factory=list)


# --- deciding ---------------------------------------------------------------------------------------------------------


def plan(db: sqlite3.Connection, rows: Sequence[Row], reading: Reading) -> Plan:
    """What becomes of ``rows``; nothing is written."""
    records = [row.record for row in rows]
    whose = _Whose(db, records, reading)
    entries = contacts.by_id(db, whose.ids)
    times = syncs.times(db, whose.ids)
    emails = [address.address for address in whose.addresses.values()]
    suppressed = suppressions.among(db, [*(entry.address for entry in entries.values()), *emails])
    done = Plan()
    met: set[int] = set()
    claimed: set[str] = set()
    for row in rows:
        contact_id = whose.of(row.record)
        if isinstance(contact_id, str):
            (done.rejected if whose.is_rejected(row.record) else done.skipped).append(contact_id)
            continue
        new = contact_id == 0
        if (new and not reading.may_take) or (reading.scope is not None and contact_id not in reading.scope):
            done.skipped.append("")
            continue
        address = whose.addresses[row.record.id].address if new else entries[contact_id].address
        if contact_id in met or (new and address in claimed):
            done.skipped.append(f"{address} stands in two rows of {reading.crm}; one of them is left alone.")
            continue
        met.update([contact_id] if contact_id else [])
        claimed.update([address] if new else [])
        old = _beginning(whose.addresses[row.record.id]) if new else entries[contact_id]
        link = whose.links.get(contact_id)
        terms = Terms(
            "theirs" if new else reading.rule,
            reading.may_take,
            _newer_there(row.record, times.get(contact_id), reading.columns),
            lambda free, mine=contact_id: whose.owner(free) in (0, mine) and free not in claimed,  # type: ignore[misc]
        )
        was_suppressed = old.address in suppressed
        before = dict(link.seen) if link else {}
        agreement = agree(row.pairs, told(old, was_suppressed), row.record.cells, before, terms)
        merge_cell = as_text(row.record.cells.get(reading.columns.merge_field)) or before.get(ID, "")
        seen = {**before, **agreement.seen, ID: merge_cell}
        entry = _with(db, old, agreement.takes)
        claimed.add(entry.address)
        done.people.append(Person(contact_id, row.record.id, old, entry, agreement, seen, was_suppressed))
    return done


class _Whose:
    """Whose the rows of a page are."""

    def __init__(self, db: sqlite3.Connection, records: Sequence[CrmRecord], reading: Reading) -> None:
        self._reading = reading
        self._by_record = syncs.of_records(db, reading.provider, (record.id for record in records))
        self._refusals: dict[str, str] = {}
        self.addresses: dict[str, Address] = {}
        """Of the rows that have one that can be one, by row."""
        for record in records:
            try:
                self.addresses[record.id] = normalise(as_text(record.cells.get(reading.columns.email)))
            except NotAnAddress as error:
                self._refusals[record.id] = error.reason
        self._owners = owners(db, (each.address for each in self.addresses.values()))
        named = {
            record.id: name
            for record in records
            if record.id not in self._by_record
            and (name := reading.ids.read(as_text(record.cells.get(reading.columns.merge_field))))
        }
        came = syncs.times(db, (each.contact_id for each in named.values()))
        self._deleted = {
            record_id
            for record_id, each in named.items()
            if each.contact_id not in came or not reading.ids.fits(each, came[each.contact_id].created_at)
        }
        self._named = {
            record_id: each.contact_id for record_id, each in named.items() if record_id not in self._deleted
        }
        linked = {link.contact_id for link in self._by_record.values()}
        self.ids = {*linked, *self._named.values(), *self._owners.values()}
        self.links = syncs.of_contacts(db, reading.provider, self.ids)
        """By person."""

    def of(self, record: CrmRecord) -> int | str:
        """The number of the row's person, 0 for somebody new; a sentence for a row that is nobody's."""
        if record.id in self._by_record:
            return self._by_record[record.id].contact_id
        found = self._named.get(record.id, 0)
        if not found and record.id in self.addresses:
            found = self.owner(self.addresses[record.id].address)
        if found:
            link = self.links.get(found)
            if link is None or link.gone:  # a row in place of a deleted one is theirs
                return found
            return f"Row {record.id} of {self._reading.crm} is about somebody who has another row; it is left alone."
        if record.id in self._deleted:
            return f"Row {record.id} of {self._reading.crm} is about somebody who was deleted here; it is left alone."
        if record.id in self._refusals:
            return f"Row {record.id} of {self._reading.crm}: {self._refusals[record.id]}."
        return 0

    def is_rejected(self, record: CrmRecord) -> bool:
        return record.id in self._refusals and record.id not in self._deleted and record.id not in self._named

    def owner(self, address: str) -> int:
        """Who has that address; 0 for nobody."""
        return self._owners.get(address, 0)


def owners(db: sqlite3.Connection, addresses: Iterable[str]) -> dict[str, int]:
    """Who has these addresses, or had them before a merge."""
    wanted = list(addresses)
    merged_into = imports.survivors(db, wanted)
    found = contacts.find(db, [*wanted, *merged_into.values()])
    numbers = {address: number for address, (number, _) in found.items()}
    return {**{address: numbers[survivor] for address, survivor in merged_into.items()}, **numbers}


def _beginning(address: Address) -> Entry:
    """Somebody of whom only the address is known."""
    return _NOBODY._replace(address=address.address, email=address.email, domain=address.domain)


def _newer_there(record: CrmRecord, times: Times | None, columns: Columns) -> bool:
    cell = record.cells.get(columns.modified, "")
    if times is None or not cell:
        return False
    try:
        return parse_rfc3339(str(cell)) > parse_rfc3339(times.updated_at)
    except ValueError:
        return False


def _with(db: sqlite3.Connection, entry: Entry, takes: Mapping[str, str]) -> Entry:
    """``entry`` with what is taken from there."""
    own = {name: text for name, text in takes.items() if name in contacts.COLUMNS}
    if "email" in own:
        own["address"], own["email"], own["domain"] = normalise(own["email"])
    fields = dict(entry.fields)
    for name, text in takes.items():
        if name.startswith("field."):
            fields.pop(name.removeprefix("field."), None)
            if text:
                fields[name.removeprefix("field.")] = text
    tags = entry.tags
    if "tags" in takes:
        tags = frozenset(tag_store.spelling(db, name) for name in split_tags(takes["tags"]))
    return entry._replace(**own, fields=fields, tags=tags)


# --- writing ----------------------------------------------------------------------------------------------------------


def write(db: sqlite3.Connection, decided: Plan, reading: Reading, change_id: int | None) -> int | None:
    """Write a plan down in the transaction that made it; the number of the step of undo, once there is one."""
    created = [each for each in decided.people if not each.contact_id]
    moved = [each for each in decided.people if each.contact_id and each.new != each.old]
    if change_id is None and (created or moved):
        change_id = changes.begin(
            db, "sync", f"Synced with {reading.crm}", reading.actor, reading.now, by_person=reading.by_person
        )
    numbers = {each.record_id: each.contact_id for each in decided.people}
    if created:
        first = contacts.insert(db, [each.new for each in created], reading.now)
        numbers.update((each.record_id, first + place) for place, each in enumerate(created))
    contacts.rewrite(db, [(each.contact_id, each.old, each.new) for each in moved], reading.now)
    if change_id is not None:
        _record(db, change_id, created, moved, numbers, reading)
    for each in decided.people:
        _suppress(db, each, reading)
    _link(db, decided.people, numbers, reading)
    return change_id


def _record(
    db: sqlite3.Connection,
    change_id: int,
    created: Sequence[Person],
    moved: Sequence[Person],
    numbers: Mapping[str, int],
    reading: Reading,
) -> None:
    """What it takes to undo it, and the receipts of the stages."""
    rows = [ChangedPerson(numbers[each.record_id], None, changes.state_of(each.new)) for each in created]
    rows += [ChangedPerson(each.contact_id, *changes.difference(each.old, each.new)) for each in moved]
    changes.record(db, change_id, rows)
    for each in (*created, *moved):
        if each.old.stage != each.new.stage:
            number, cause = numbers[each.record_id], f"set in {reading.crm}"
            stages.note(db, number, each.old.stage, each.new.stage, cause, reading.actor, reading.now,
                        change_id=change_id)  # fmt: skip


def _suppress(db: sqlite3.Connection, person: Person, reading: Reading) -> None:
    """Opt-outs are only ever added: one that is ticked there, and that of somebody whose address was changed there."""
    if person.agreement.takes.get("suppressed") == YES:
        suppressions.add(db, person.new.address, SuppressionReason.MANUAL, reading.crm, reading.now)
    elif person.new.address != person.old.address and (known := suppressions.get(db, person.old.address)):
        suppressions.add(db, person.new.address, known.reason, known.source, reading.now)


def _link(db: sqlite3.Connection, people: Sequence[Person], numbers: Mapping[str, int], reading: Reading) -> None:
    times = syncs.times(db, numbers.values())
    links = [
        Link(number, each.record_id, each.seen, "" if each.sends else times[number].updated_at)
        for each in people
        if (number := numbers[each.record_id])
    ]
    syncs.put(db, reading.provider, links)
    settled = [
        (numbers[each.record_id], name)
        for each in people
        for key in each.agreement.seen
        if (name := key.rpartition("=")[2]) not in each.agreement.waits
    ]
    syncs.settle_clashes(db, reading.provider, settled)
    clashes = [(numbers[each.record_id], clash) for each in people for clash in each.agreement.clashes]
    syncs.keep_clashes(db, reading.provider, clashes, reading.now)


# --- counting ---------------------------------------------------------------------------------------------------------


def count(result: SyncResult, decided: Plan, reading: Reading) -> None:
    """Add a page to what the sync came to."""
    pull = result.pull
    pull.read += len(decided.people) + len(decided.skipped) + len(decided.rejected)
    pull.skipped += len(decided.skipped)
    pull.rejected += len(decided.rejected)
    for sentence in decided.skipped:
        if sentence:
            result.warn("skipped", sentence)
    for sentence in decided.rejected:
        result.warn("rejected", sentence)
    tell(result, decided.people)
    for each in decided.people:
        if not each.contact_id:
            pull.created += 1
        elif each.new != each.old or "suppressed" in each.agreement.takes:
            pull.updated += 1
        else:
            pull.unchanged += 1


def tell(result: SyncResult, people: Iterable[Person]) -> None:
    """Add what a person has to hear of these."""
    for each in people:
        for clash in each.agreement.clashes:
            result.conflict_count += 1
            if len(result.conflicts) < EXAMPLES:
                result.conflicts.append(Conflict(each.old.email, *clash))
        for misfit in each.agreement.misfits:
            result.warn("misfit", f"{each.old.email}: {misfit}.")
        result.stages_kept += each.agreement.stage_kept
        result.suppressed += each.agreement.takes.get("suppressed") == YES


def summary(result: SyncResult, crm: str) -> str:
    """One phrase for the list of changes."""
    return f"Synced with {crm}: {result.pull.created:,} new, {result.pull.updated:,} changed"
