"""``health.db``: what is remembered of each provider, shared by the app and every scheduled run.

A file of its own, so that a long import never delays it. Every change is one function from the stored row to the next,
run inside ``BEGIN IMMEDIATE``: two processes cannot lose each other's update, and of all callers that want to carry a
probe exactly one gets it. A provider that was never called has no row; reading creates none.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import StoreError, StoreNewer
from aicmo.provider_state import EVENTS_KEPT, Change, ProviderState, StateChange, never_called
from aicmo.store.database import create_private_file, translated

READ_BUSY_MS = 50
"""Reads happen on the event loop; longer than this nothing may stand still there."""
WRITE_BUSY_MS = 250
"""A write here takes microseconds; who waits longer is better off without."""

_FIRST = """
CREATE TABLE provider (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('ok', 'cooling', 'blocked')),
    gen INTEGER NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    successes REAL NOT NULL,
    observations REAL NOT NULL,
    latency_s REAL,
    updated_at TEXT,
    open_until TEXT,
    open_reason TEXT NOT NULL,
    trips INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until TEXT,
    last_ok_at TEXT,
    last_error_at TEXT,
    last_error_class TEXT NOT NULL,
    last_error_code TEXT NOT NULL,
    last_error_text TEXT NOT NULL,
    config_fingerprint TEXT NOT NULL,
    quota_reset_at TEXT
) STRICT;
CREATE TABLE state_change (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    why TEXT NOT NULL
) STRICT;
"""
# SQLite cannot widen a CHECK, so the few rows move to a table that has the wider one.
_PROBING_AND_OVERRIDES = """
ALTER TABLE provider RENAME TO provider_before;
CREATE TABLE provider (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('ok', 'cooling', 'probing', 'blocked')),
    gen INTEGER NOT NULL,
    consecutive_failures INTEGER NOT NULL,
    successes REAL NOT NULL,
    observations REAL NOT NULL,
    latency_s REAL,
    updated_at TEXT,
    open_until TEXT,
    open_reason TEXT NOT NULL,
    trips INTEGER NOT NULL,
    lease_owner TEXT NOT NULL,
    lease_until TEXT,
    last_ok_at TEXT,
    last_error_at TEXT,
    last_error_class TEXT NOT NULL,
    last_error_code TEXT NOT NULL,
    last_error_text TEXT NOT NULL,
    config_fingerprint TEXT NOT NULL,
    quota_reset_at TEXT,
    closed_at TEXT,
    proved INTEGER NOT NULL DEFAULT 0,
    pace TEXT NOT NULL DEFAULT '',
    flips TEXT NOT NULL DEFAULT '',
    holds INTEGER NOT NULL DEFAULT 0,
    refusals TEXT NOT NULL DEFAULT '',
    override TEXT NOT NULL DEFAULT '' CHECK (override IN ('', 'forced', 'disabled')),
    override_until TEXT
) STRICT;
INSERT INTO provider (name, state, gen, consecutive_failures, successes, observations, latency_s, updated_at,
    open_until, open_reason, trips, lease_owner, lease_until, last_ok_at, last_error_at, last_error_class,
    last_error_code, last_error_text, config_fingerprint, quota_reset_at)
SELECT name, state, gen, consecutive_failures, successes, observations, latency_s, updated_at,
    open_until, open_reason, trips, lease_owner, lease_until, last_ok_at, last_error_at, last_error_class,
    last_error_code, last_error_text, config_fingerprint, quota_reset_at
FROM provider_before;
DROP TABLE provider_before;
"""
_LIMITS = """
CREATE TABLE limit_use (
    provider TEXT NOT NULL,
    name TEXT NOT NULL,
    held TEXT NOT NULL,
    spent INTEGER NOT NULL,
    lowered_to INTEGER,
    lowered_until_ms INTEGER NOT NULL,
    PRIMARY KEY (provider, name)
) STRICT, WITHOUT ROWID;
"""
_SELF_CHECKS = """
CREATE TABLE self_check (
    provider TEXT PRIMARY KEY,
    checked_at TEXT,
    outcome TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    recent TEXT NOT NULL,
    quota_unit TEXT NOT NULL,
    quota_left INTEGER,
    quota_limit INTEGER,
    quota_resets_at TEXT,
    quota_told_at TEXT
) STRICT, WITHOUT ROWID;
"""
_SINCE_AND_COST = """
ALTER TABLE provider ADD COLUMN override_at TEXT;
ALTER TABLE provider ADD COLUMN back_at TEXT;
ALTER TABLE provider ADD COLUMN poor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN latency_spread_s REAL;
ALTER TABLE provider ADD COLUMN recent TEXT NOT NULL DEFAULT '';
ALTER TABLE provider ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN wasted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE provider ADD COLUMN inputs TEXT NOT NULL DEFAULT '';
ALTER TABLE state_change ADD COLUMN seen_by TEXT NOT NULL DEFAULT '';
"""
_NETWORK = """
CREATE TABLE network (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    down_since TEXT,
    believed_until TEXT,
    next_try_at TEXT
) STRICT;
"""
_STEPS = (_FIRST, _PROBING_AND_OVERRIDES + _LIMITS, _SELF_CHECKS, _SINCE_AND_COST + _NETWORK)
"""Append-only; the file's ``user_version`` is how many of them it has behind it."""
SCHEMA_VERSION = len(_STEPS)

_COLUMNS = tuple(field.name for field in dataclasses.fields(ProviderState))
_TIMES = frozenset(name for name in _COLUMNS if name.endswith(("_at", "_until")))
_TIME_AT = tuple(place for place, name in enumerate(_COLUMNS) if name in _TIMES)
# Column names are our own field names; every value is a parameter.
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM provider"
_UPSERT = (
    f"INSERT INTO provider ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT (name) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS[1:])}"
)


class HealthDb:
    """``health.db``, open. ``get`` is meant for the event loop, ``update`` for a thread.

    Opening raises ``StoreNewer`` for a file of a newer program and another ``StoreError`` for one that cannot be used;
    the caller then goes on without. Every method raises ``StoreError`` or ``AicmoError`` when SQLite refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        create_private_file(path)
        with translated(path):
            self._writer = connect(path, WRITE_BUSY_MS)
        try:
            self._prepare()
            with translated(path):
                self._reader = connect(path, READ_BUSY_MS)
        except BaseException:  # half opened is closed; raised again
            self._writer.close()
            raise
        self._writing = threading.Lock()
        self._version = -1
        """Of the file, when ``_as_read`` was read."""
        self._as_read: dict[str, ProviderState] = {}

    def get(self, name: str) -> ProviderState:
        """The provider's state; the defaults when nothing is known of it.

        Asking whether anybody has written since costs a fifth of reading a row, and between two writes nothing changes.
        """
        with translated(self.path):
            version = self._reader.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._version, self._as_read = version, {}
            if name not in self._as_read:
                row = self._reader.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
                self._as_read[name] = never_called(name) if row is None else self._state(row)
            return self._as_read[name]

    def load_all(self) -> dict[str, ProviderState]:
        """Every provider of which anything is known, by name."""
        with translated(self.path):
            rows = self._reader.execute(f"{_SELECT} ORDER BY name").fetchall()
        return {row[0]: self._state(row) for row in rows}

    def update(self, name: str, change: Change) -> ProviderState:
        """Replace the stored state by ``change`` of it, in one transaction; gives the new one."""
        with self._writing, translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                row = self._writer.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
                before = never_called(name) if row is None else self._state(row)
                after, event = change(before)
                if after != before:
                    self._writer.execute(_UPSERT, _values(after))
                if event is not None:
                    self._remember(event)
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()
        return after

    def events(self, limit: int = EVENTS_KEPT) -> Sequence[StateChange]:
        """The last changes of state, newest first; at most 200 are kept."""
        query = "SELECT name, at, before, after, why, seen_by FROM state_change ORDER BY id DESC LIMIT ?"
        with translated(self.path):
            rows = self._reader.execute(query, (limit,)).fetchall()
        return [StateChange(name, parse_rfc3339(at), *told) for name, at, *told in rows]

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _remember(self, event: StateChange) -> None:
        self._writer.execute(
            "INSERT INTO state_change (name, at, before, after, why, seen_by) VALUES (?, ?, ?, ?, ?, ?)",
            (event.name, rfc3339(event.at), event.before, event.after, event.why, event.by),
        )
        self._writer.execute(
            "DELETE FROM state_change WHERE id <= (SELECT max(id) FROM state_change) - ?", (EVENTS_KEPT,)
        )

    def _state(self, row: tuple[Any, ...]) -> ProviderState:
        values = list(row)
        try:
            for place in _TIME_AT:
                if values[place] is not None:
                    values[place] = parse_rfc3339(values[place])
        except ValueError as error:
            raise StoreError(
                f"{self.path} holds a time that is none ({error}).", hint="Move the file away; it is built anew."
            ) from error
        return ProviderState(*values)

    def _prepare(self) -> None:
        with translated(self.path):
            _write_ahead(self._writer)
            # Two programs may open a new file at the same moment: look and create under one lock.
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                version = self._writer.execute("PRAGMA user_version").fetchone()[0]
                if version > SCHEMA_VERSION:
                    raise StoreNewer(
                        f"{self.path} was written by a newer AICMO (its version {version}, ours {SCHEMA_VERSION}).",
                        hint="Update AICMO; nothing was changed.",
                    )
                for step in _STEPS[version:]:
                    for statement in step.strip().split(";\n"):
                        self._writer.execute(statement)
                self._writer.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()


def connect(path: Path, busy_ms: int) -> sqlite3.Connection:
    """A connection to an existing ``health.db``, usable from any one thread at a time."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout={busy_ms}")
    # A lost last second of statistics is no loss; a commit is 20 times cheaper than with FULL.
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Set the file's journal to WAL.

    Here SQLite ignores its busy timeout, and of programs that open a new file at once all but one may be refused: so
    the waiting is done by hand, for a quarter of a second.
    """
    for tries_left in range(25, -1, -1):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not tries_left:
                raise
            time.sleep(0.01)


def _values(state: ProviderState) -> list[object]:
    values = (getattr(state, name) for name in _COLUMNS)
    return [rfc3339(value) if isinstance(value, datetime) else value for value in values]
