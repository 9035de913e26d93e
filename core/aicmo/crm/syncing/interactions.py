"""What happened with people, both ways: our events and messages as rows there, rows written there by hand as events.

A row of ours carries its name in the merge column, so it is written once however often; a row without one was written
by hand. It becomes an event whose origin is the row, so it is heard of once, and it does not go back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import parse_rfc3339
from aicmo.crm.address import NotAnAddress, normalise
from aicmo.crm.lifecycle import record_event
from aicmo.crm.syncing.asking import Caller
from aicmo.crm.syncing.columns import as_cell, as_text
from aicmo.crm.syncing.pulling import owners
from aicmo.crm.syncing.pushing import CHUNK, in_batch
from aicmo.crm.syncing.result import SyncResult
from aicmo.crm.syncing.row_ids import RowIds
from aicmo.gateways.attempt import Attempt
from aicmo.gateways.records import Cell, Cells, CrmColumn, CrmRecord
from aicmo.store import Database, syncs
from aicmo.store.events import Event
from aicmo.store.syncs import Interaction
from aicmo.text import one_line, plain

COLUMNS = ("Email", "Contact", "Channel", "Kind", "Subject", "At", "Details")
"""Those that are looked at, where the table has them; without ``Email`` and ``Kind`` it is left alone."""
BY_HAND = ("note", "call", "meeting", "message", "replied", "form", "converted")
"""What a row there may be of; any other kind becomes a note."""
MAX_TEXT = 10_000


@dataclass(frozen=True, slots=True)
class Interactions:
    """The table of interactions there, as far as it is looked at."""

    provider: str
    crm: str
    merge_field: str
    columns: dict[str, CrmColumn]
    """By name."""
    ids: RowIds

    @property
    def usable(self) -> bool:
        return {self.merge_field, "Email", "Kind"} <= self.columns.keys()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.merge_field, *COLUMNS) if name in self.columns)


# --- from there -------------------------------------------------------------------------------------------------------


def hear(
    db: sqlite3.Connection, records: Sequence[CrmRecord], table: Interactions, result: SyncResult, now: datetime
) -> None:
    """Write down what was entered there by hand."""
    addresses: dict[str, str] = {}
    for record in records:
        try:
            addresses[record.id] = normalise(as_text(record.cells.get("Email") or record.cells.get("Contact"))).address
        except NotAnAddress:
            continue
    whose = owners(db, addresses.values())
    for record in records:
        number = whose.get(addresses.get(record.id, ""), 0)
        if not number:
            result.interactions.skipped += 1
            result.warn("interaction", f"Interaction {record.id} of {table.crm} names nobody who is here.")
        elif record_event(db, event_of(record, number, table, now), now) is not None:
            result.interactions.pulled += 1


def event_of(record: CrmRecord, contact_id: int, table: Interactions, now: datetime) -> Event:
    """A row as an event: a person wrote it, so a person did it."""
    said = as_text(record.cells.get("Kind"))
    kind = said.casefold().replace(" ", "_")
    known = kind in BY_HAND
    parts = [as_text(record.cells.get("Subject")), plain(str(record.cells.get("Details", ""))).strip()]
    text = "\n".join(part for part in ([] if known else [said]) + parts if part)
    try:
        at = parse_rfc3339(as_text(record.cells.get("At")))
    except ValueError:
        at = record.created_at or now
    return Event(
        contact_id,
        kind if known else "note",
        at,
        channel=as_text(record.cells.get("Channel")),
        human=True,
        because=f"entered in {table.crm}",
        text=plain(text, limit=MAX_TEXT),
        actor=table.crm,
        origin=f"{table.provider}:{record.id}",
    )


# --- to there ---------------------------------------------------------------------------------------------------------


async def send(
    db: Database, caller: Caller, size: int, table: Interactions, result: SyncResult, stopped: Callable[[], bool]
) -> None:
    """Write down there what happened here. Raises ``Stopped``."""
    events = _Kind(syncs.unsent_events, syncs.note_events, table.ids.of_event)
    deliveries = _Kind(syncs.unsent_deliveries, syncs.note_deliveries, table.ids.of_delivery)
    for kind in (events, deliveries):
        after = 0
        while not stopped():
            found = await db.aread(lambda it, kind=kind, after=after: kind.unsent(it, table.provider, after, CHUNK))  # type: ignore[misc]
            for start in range(0, len(found), size):
                if stopped():
                    return
                await _send_some(db, caller, table, kind, found[start : start + size], result)
            if len(found) < CHUNK:
                break
            after = found[-1].id


@dataclass(frozen=True, slots=True)
class _Kind:
    unsent: Callable[[sqlite3.Connection, str, int, int], list[Interaction]]
    note: Callable[[sqlite3.Connection, str, Sequence[tuple[Interaction, str]]], None]
    name: Callable[[int], str]


async def _send_some(
    db: Database, caller: Caller, table: Interactions, kind: _Kind, batch: Sequence[Interaction], result: SyncResult
) -> None:
    async def write(some: Sequence[Interaction]) -> None:
        rows = [_cells(each, kind, table) for each in some]
        done = await caller.write(lambda it: it.upsert("interactions", rows, (table.merge_field,)))
        sent = list(zip(some, done.ids, strict=True))
        await db.awrite(lambda it: kind.note(it, table.provider, sent))
        result.interactions.pushed += len(some)

    async def refused(each: Interaction, final: Attempt) -> None:
        result.interactions.failed += 1
        result.warn("interaction", f"{each.kind} of {each.email}: {final.detail}")

    await in_batch(batch, write, refused, result.interactions)


def _cells(each: Interaction, kind: _Kind, table: Interactions) -> Cells:
    """A row of ours; what a column cannot hold is left out of it."""
    said = {
        "Email": each.email,
        "Contact": each.name or each.email,
        "Channel": each.channel,
        "Kind": each.kind,
        "Subject": each.subject or one_line(each.details, limit=200),
        "At": each.at,
        "Details": each.details,
    }
    cells: dict[str, Cell | None] = {}
    for name, text in said.items():
        column = table.columns.get(name)
        if column is None or not column.writable or not text:
            continue
        try:
            cells[name] = as_cell(column, text)
        except ValueError:
            continue
    return {**cells, table.merge_field: kind.name(each.id)}
