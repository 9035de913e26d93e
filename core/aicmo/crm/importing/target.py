"""Where batches go: into the store, or, in a dry run, nowhere.

Each is decided and written in one transaction, together with how far the import has come, so that what it counted is
what is there, also after it was cancelled or killed.
"""

from __future__ import annotations

import contextlib
import pickle
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from aicmo.clock import Clock
from aicmo.crm.importing.counts import ImportCounts
from aicmo.crm.importing.plan import Decision, Known, PlannedRow, Update, decide
from aicmo.crm.importing.policy import Policies
from aicmo.crm.importing.result import Status
from aicmo.crm.importing.resume import ACTOR, ImportLock, Job
from aicmo.crm.importing.rows import Batch
from aicmo.errors import AicmoError
from aicmo.store import Database, bulk, changes, contacts, imports, stages, suppressions
from aicmo.store.changes import ChangedPerson
from aicmo.store.suppressions import SuppressionReason


class Applied(NamedTuple):
    counts: ImportCounts
    plan: Sequence[PlannedRow]
    """Of every entry, in a dry run; else empty."""


class StoreTarget(contextlib.AbstractContextManager["StoreTarget"]):
    """Begins an import or goes on with one; when left before ``end``, it is cancelled."""

    def __init__(self, db: Database, job: Job, lock: ImportLock, clock: Clock) -> None:
        self._db, self._job, self._lock, self._clock = db, job, lock, clock
        self._counts = job.counts
        self._ended = False
        self._narrow = db.write(bulk.widen)
        db.write(bulk.set_domains_aside)

    @property
    def import_id(self) -> int:
        return self._job.import_id

    @property
    def rows_passed(self) -> int:
        """Rows of the file that an earlier process had done."""
        return self._job.rows_read

    @property
    def counts_passed(self) -> ImportCounts:
        return self._job.counts

    def submit(self, batch: Batch) -> Future[Applied]:
        return self._db.submit(lambda connection: self._apply(connection, batch))

    def _apply(self, db: sqlite3.Connection, batch: Batch) -> Applied:
        job, now = self._job, self._clock.now()
        known = _known(db, batch)
        decision = decide(zip(batch.numbers, batch.entries, strict=True), known, job.policies)
        first_id = contacts.insert(db, decision.created, now, import_id=job.import_id)
        if any(entry.stage not in ("", contacts.STAGES[0]) for entry in decision.created):
            imports.note_stages(db, job.import_id, first_id, job.cause, ACTOR, job.change_id, now)
        if decision.updated:
            contacts.update(db, [(each.contact_id, each.new) for each in decision.updated], now)
            self._record(db, decision.updated)
        opt_outs = _opt_outs(batch, known)
        for address, reason in opt_outs.items():
            suppressions.add(db, address, reason, job.cause, now)
        counts = _counted(db, decision, batch, opt_outs)
        self._counts += counts
        imports.record(db, job.import_id, self._counts.as_stored(), batch.rows_read)
        return Applied(counts, ())

    def _record(self, db: sqlite3.Connection, updated: Sequence[Update]) -> None:
        """What it takes to undo the updates. Those whom this import created go as they came."""
        job, now = self._job, self._clock.now()
        before = imports.came_before(db, job.import_id, (each.contact_id for each in updated))
        rows = (
            ChangedPerson(each.contact_id, *changes.difference(each.old, each.new))
            for each in updated
            if each.contact_id in before
        )
        changes.record(db, job.change_id, rows)
        for number, old, new in updated:
            if old.stage != new.stage:
                stages.note(db, number, old.stage, new.stage, job.cause, ACTOR, now, change_id=job.change_id)

    def end(self, status: Status) -> None:
        def work(db: sqlite3.Connection) -> None:
            bulk.narrow(db, self._narrow)  # first: sorting an index may take as much memory as the cache
            bulk.complete(db)
            imports.end(db, self._job.import_id, status, self._clock.now())
            changes.describe(db, self._job.change_id, _summary(self._counts, self._job.source))

        self._db.write(work)
        self._ended = True

    def __exit__(self, *error: object) -> None:
        try:
            with contextlib.suppress(AicmoError):  # an error that brought us here matters more than these
                if not self._ended:
                    self.end("cancelled")
        finally:
            self._lock.release(remove=True)


class DryTarget(contextlib.AbstractContextManager["DryTarget"]):
    """Batches are decided and forgotten. What they would have written lies in a temporary file that SQLite deletes."""

    import_id = None
    rows_passed = 0
    counts_passed = ImportCounts()

    def __init__(self, db: Database, policies: Policies) -> None:
        self._db, self._policies = db, policies
        self._would_be = sqlite3.connect("", isolation_level=None)
        self._would_be.execute("CREATE TABLE entry (address TEXT PRIMARY KEY, id INTEGER, entry BLOB) WITHOUT ROWID")

    def submit(self, batch: Batch) -> Future[Applied]:
        done: Future[Applied] = Future()
        done.set_result(self._apply(batch))
        return done

    def _apply(self, batch: Batch) -> Applied:
        known = self._db.read(lambda db: _known(db, batch))
        for entry in batch.entries:
            address = known[entry.address].entry.address if entry.address in known else entry.address
            for number, blob in self._would_be.execute("SELECT id, entry FROM entry WHERE address = ?", (address,)):
                known[entry.address] = Known(number, pickle.loads(blob))  # written below, seen by nobody else
        plan: list[PlannedRow] = []
        decision = decide(zip(batch.numbers, batch.entries, strict=True), known, self._policies, plan)
        written = [(0, entry) for entry in decision.created] + [
            (each.contact_id, each.new) for each in decision.updated
        ]
        rows = ((entry.address, number, pickle.dumps(entry)) for number, entry in written)
        self._would_be.execute("BEGIN")
        self._would_be.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", rows)
        self._would_be.execute("COMMIT")
        opt_outs = _opt_outs(batch, known)
        return Applied(self._db.read(lambda db: _counted(db, decision, batch, opt_outs)), plan)

    def end(self, status: Status) -> None:
        """Nothing to record."""

    def __exit__(self, *error: object) -> None:
        self._would_be.close()


def _known(db: sqlite3.Connection, batch: Batch) -> dict[str, Known]:
    """Who of the batch is there, by every address that leads to them: of those merged away, the survivor."""
    addresses = [entry.address for entry in batch.entries]
    merged_into = imports.survivors(db, addresses)
    found = contacts.find(db, [*addresses, *merged_into.values()] if merged_into else addresses)
    known = {address: Known(*each) for address, each in found.items()}
    known.update((address, known[survivor]) for address, survivor in merged_into.items() if address not in known)
    return known


def _opt_outs(batch: Batch, known: Mapping[str, Known]) -> dict[str, SuppressionReason]:
    """Every address that the batch says must not be written to, and those which their people have now."""
    now_theirs = {known[each].entry.address: why for each, why in batch.opt_outs.items() if each in known}
    return {**now_theirs, **batch.opt_outs}


def _counted(
    db: sqlite3.Connection, decision: Decision, batch: Batch, opt_outs: Mapping[str, SuppressionReason]
) -> ImportCounts:
    silent = suppressions.among(db, {entry.address for entry in batch.entries}) | opt_outs.keys()
    return decision.counts + ImportCounts(
        rejected=len(batch.rejections),
        opted_out=batch.opted_out,
        suppressed=sum(entry.address in silent for entry in batch.entries) if silent else 0,
    )


def _summary(counts: ImportCounts, source: str) -> str:
    return f"Imported {source}: {counts.created:,} created, {counts.updated:,} updated"
