"""What was imported: to be looked at, and taken back."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.importing.resume import ACTOR, ImportLock, is_under_way
from aicmo.errors import IllegalTransition
from aicmo.store import Database, bulk, imports, undoing
from aicmo.store.imports import Import
from aicmo.store.undoing import Reverted


@dataclass(frozen=True, slots=True)
class ImportRecord:
    imported: Import
    state: str
    """``running``, ``interrupted`` (killed: importing the file again goes on with it), ``done``, ``cancelled`` or
    ``undone``."""


class Imports:
    def __init__(self, db: Database, clock: Clock = SYSTEM_CLOCK) -> None:
        self._db, self._clock = db, clock

    def list(self, *, limit: int = -1) -> tuple[ImportRecord, ...]:
        """The newest first; -1 is all there are."""
        found = self._db.read(lambda db: imports.listed(db, limit=limit))
        return tuple(map(self._record, found))

    def get(self, import_id: int) -> ImportRecord:
        """Raises ``NotFound``."""
        return self._record(self._db.read(lambda db: imports.get(db, import_id)))

    def still_there(self, import_id: int) -> int:
        """How many of those it created are contacts now."""
        return self._db.read(lambda db: imports.still_there(db, import_id))

    def undo(self, import_id: int) -> Reverted:
        """Delete whom an import created and put back what it changed, but for what changed since, which is named.

        Who opted out stays opted out. Raises ``NotFound``, or ``IllegalTransition`` while it runs or when it is undone.
        """
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> Reverted:
            found = imports.get(db, import_id)
            if found.undone_at:
                raise IllegalTransition(f"Import {import_id} is undone already.", hint="Import its file again.")
            if found.change_id is None:
                raise IllegalTransition(f"What import {import_id} changed was not written down; it cannot be undone.")
            if found.status == "running":
                imports.end(db, import_id, "cancelled", now)
            return undoing.undo(db, found.change_id, ACTOR, now)

        self.get(import_id)
        lock = ImportLock(self._db, import_id)
        if not lock.acquire():
            raise IllegalTransition(f"Import {import_id} is running.", hint="Stop it first, or wait until it is done.")
        undone: list[Reverted] = []

        def at_once(db: sqlite3.Connection) -> None:
            db.execute("PRAGMA foreign_keys=OFF")  # ``imports.take_away`` does their work for all people together
            bulk.widen(db)
            db.execute("BEGIN IMMEDIATE")
            try:
                undone.append(work(db))
            except BaseException:  # undone, whatever stopped it; raised again
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

        try:
            self._db.maintain(at_once)
            return undone[0] if undone else self._db.write(work)
        finally:
            lock.release(remove=True)

    def _record(self, found: Import) -> ImportRecord:
        if found.undone_at:
            return ImportRecord(found, "undone")
        if found.status == "running" and not is_under_way(self._db, found.id):
            return ImportRecord(found, "interrupted")
        return ImportRecord(found, found.status)
