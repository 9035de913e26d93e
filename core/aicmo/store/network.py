"""Whether this machine is offline, in ``health.db``: one row, so that the app and every scheduled run agree.

A connection of its own; reading it may happen on the event loop.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import threading
from datetime import datetime

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import StoreError
from aicmo.network_state import NetworkChange, NetworkState
from aicmo.store.database import translated
from aicmo.store.health import READ_BUSY_MS, WRITE_BUSY_MS, HealthDb, connect

_SELECT = "SELECT down_since, believed_until, next_try_at FROM network"
_REPLACE = "INSERT OR REPLACE INTO network (id, down_since, believed_until, next_try_at) VALUES (1, ?, ?, ?)"


class NetworkDb:
    """The network's side of an open ``health.db``; close it before that. Both methods may raise ``StoreError``."""

    def __init__(self, health: HealthDb) -> None:
        self.path = health.path
        with translated(self.path):
            self._reader = connect(self.path, READ_BUSY_MS)
            self._writer = connect(self.path, WRITE_BUSY_MS)
        self._one_at_a_time = threading.Lock()

    def get(self) -> NetworkState:
        with translated(self.path):
            return self._state(self._reader)

    def update(self, change: NetworkChange) -> NetworkState:
        """Replace what is stored by ``change`` of it, in one transaction; gives the new one."""
        with self._one_at_a_time, translated(self.path):
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                before = self._state(self._writer)
                after = change(before)
                if after != before:
                    times: list[datetime | None] = list(dataclasses.astuple(after))
                    self._writer.execute(_REPLACE, [rfc3339(at) if at else None for at in times])
                self._writer.execute("COMMIT")
            finally:
                if self._writer.in_transaction:
                    self._writer.rollback()
        return after

    def close(self) -> None:
        self._reader.close()
        self._writer.close()

    def _state(self, connection: sqlite3.Connection) -> NetworkState:
        row = connection.execute(_SELECT).fetchone()
        try:
            return NetworkState(*(parse_rfc3339(at) if at else None for at in row or ()))
        except ValueError as error:
            raise StoreError(
                f"{self.path} holds a time that is none ({error}).", hint="Move the file away; it is built anew."
            ) from error
