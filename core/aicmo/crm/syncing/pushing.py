"""What is to be written there, and that it was.

Who has no row there is written by upsert on the merge column, so that a lost answer, repeated, finds the row it made;
who has one is changed by the row's own id, so that a row deleted there does not come back. A batch that is refused is
tried one by one, so that a single bad row keeps nobody else out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from aicmo.crm.syncing.asking import Caller, Refused, Stopped
from aicmo.crm.syncing.columns import Columns, told
from aicmo.crm.syncing.pulling import ID
from aicmo.crm.syncing.result import PushCounts, SyncResult
from aicmo.crm.syncing.row_ids import RowIds
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.records import Cell, CrmProvider, Upserted
from aicmo.store import Database, contacts, suppressions, syncs
from aicmo.store.syncs import Link
from aicmo.text import shown

CHUNK = 500
"""People that are compared at a time."""


class Outgoing(NamedTuple):
    """One person, and what is to be written there for them."""

    email: str
    link: Link
    """As it is once that is written; without a row yet, its ``record_id`` is empty."""
    cells: dict[str, Cell | None]
    """Empty: both sides agree already."""
    misfits: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sending:
    """What all batches of one sync have in common."""

    provider: str
    columns: Columns
    ids: RowIds
    scope: Collection[int] | None
    held: dict[int, set[str]] = field(default_factory=dict)
    """Fields of people that are not to be sent in this run."""


def outgoing(
    db: sqlite3.Connection, after: int, sending: Sending, *, everybody: bool
) -> tuple[list[Outgoing], int | None]:
    """What is to be written for people with numbers above ``after``, and where to go on; ``None``: that was all."""
    found = syncs.outdated(db, sending.provider, after, CHUNK, everybody=everybody)
    last = found[-1][0] if len(found) == CHUNK else None
    if sending.scope is not None:
        found = [each for each in found if each[0] in sending.scope]
    numbers = [number for number, _ in found]
    entries = contacts.by_id(db, numbers)
    times = syncs.times(db, numbers)
    suppressed = suppressions.among(db, (entry.address for entry in entries.values()))
    waiting = syncs.open_clashes(db, sending.provider, numbers)
    rows = []
    for number, link in found:
        entry, (came, changed) = entries[number], times[number]
        before = dict(link.seen) if link else {}
        waits = {*waiting.get(number, ()), *sending.held.get(number, ())}
        cells: dict[str, Cell | None] = {}
        misfits = []
        ours = told(entry, entry.address in suppressed)
        for pair in sending.columns.pairs:
            if not pair.column.writable or pair.field in waits:
                continue
            whole = ours.get(pair.field, "")
            image = pair.image(whole)
            if image is None or (image != whole and pair.field == "tags"):
                misfits.append(f"{shown(whole, limit=40)} does not fit into the column {pair.column.name}")
            if image is not None and not pair.same(image, before.get(pair.key, "")):
                cells[pair.column.name] = pair.written(image)
                before[pair.key] = image
        if not before.get(ID):
            before[ID] = sending.ids.of_contact(number, came)
            cells[sending.columns.merge_field] = before[ID]
        after_it = Link(number, link.record_id if link else "", before, changed)
        rows.append(Outgoing(entry.email, after_it, cells, tuple(misfits)))
    return rows, last


class Pusher:
    """Writes rows of people in batches, and notes each batch before the next."""

    def __init__(self, db: Database, caller: Caller, size: int, sending: Sending, result: SyncResult) -> None:
        self._db, self._caller, self._size, self._sending, self._result = db, caller, size, sending, result
        self._new: list[Outgoing] = []
        self._known: list[Outgoing] = []

    async def add(self, rows: Sequence[Outgoing]) -> None:
        """Write what is complete of the rows; the rest waits for more of them, or for ``flush``."""
        agreed = [row.link for row in rows if not row.cells]
        if agreed:
            await self._db.awrite(lambda db: syncs.put(db, self._sending.provider, agreed))
        for row in rows:
            for misfit in row.misfits:
                self._result.warn("misfit", f"{row.email}: {misfit}.")
            if row.cells:
                (self._known if row.link.record_id else self._new).append(row)
        while len(self._new) >= self._size or len(self._known) >= self._size:
            await self._write_some()

    async def flush(self) -> None:
        while self._new or self._known:
            await self._write_some()

    async def _write_some(self) -> None:
        kind = self._new if len(self._new) >= self._size or not self._known else self._known
        batch = kind[: self._size]
        del kind[: self._size]
        work = self._create if kind is self._new else self._update
        await in_batch(batch, work, self._refused, self._result.push)

    async def _create(self, batch: Sequence[Outgoing]) -> None:
        rows, merge_on = [row.cells for row in batch], (self._sending.columns.merge_field,)
        done: Upserted = await self._caller.write(lambda it: it.upsert("contacts", rows, merge_on))
        links = [replace(row.link, record_id=record) for row, record in zip(batch, done.ids, strict=True)]
        await self._db.awrite(lambda db: syncs.put(db, self._sending.provider, links))
        self._result.push.created += len(done.created)
        self._result.push.updated += len(batch) - len(done.created)

    async def _update(self, batch: Sequence[Outgoing]) -> None:
        rows = [(row.link.record_id, row.cells) for row in batch]

        async def update(provider: CrmProvider) -> Answer[bool]:
            return Answer(await provider.update("contacts", rows), True)

        await self._caller.write(update)
        await self._db.awrite(lambda db: syncs.put(db, self._sending.provider, [row.link for row in batch]))
        self._result.push.updated += len(batch)

    async def _refused(self, row: Outgoing, final: Attempt) -> None:
        if final.outcome is Outcome.MISS:
            gone = [row.link.record_id]
            await self._db.awrite(lambda db: syncs.mark_gone(db, self._sending.provider, gone))
            self._result.push.gone += 1
        else:
            self._result.push.failed += 1
            self._result.warn("failed", f"{row.email}: {final.detail}")


async def in_batch(
    batch: Sequence[Any],
    work: Callable[[Sequence[Any]], Awaitable[None]],
    refused: Callable[[Any, Attempt], Awaitable[None]],
    counts: PushCounts | Any,
) -> None:
    """Do ``work`` on a batch; when it is refused, on each of it alone. Raises ``Stopped``, the unknown ones counted."""
    try:
        await work(batch)
    except Refused as error:
        if len(batch) == 1:
            await refused(batch[0], error.final)
            return
        for each in batch:
            await in_batch([each], work, refused, counts)
    except Stopped as error:
        if error.final.applied is not Applied.NO:
            counts.unknown += len(batch)
        raise
