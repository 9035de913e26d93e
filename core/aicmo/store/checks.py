"""Self-checks in ``health.db``: a row each, so that the app, the command line and every scheduled run share them."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from typing import Any

from aicmo.check_state import CheckChange, SelfCheck
from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.errors import StoreError
from aicmo.store.database import translated
from aicmo.store.health import WRITE_BUSY_MS, HealthDb, connect

_COLUMNS = (
    "provider, checked_at, outcome, code, detail, recent, "
    "quota_unit, quota_left, quota_limit, quota_resets_at, quota_told_at"
)
_REPLACE = f"INSERT OR REPLACE INTO self_check ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class CheckDb:
    """The checks' side of an open ``health.db``; close it before that. Every method may raise ``StoreError``."""

    def __init__(self, health: HealthDb) -> None:
        self.path = health.path
        with translated(self.path):
            self._connection = connect(self.path, WRITE_BUSY_MS)
        self._one_at_a_time = threading.Lock()

    def load_all(self) -> dict[str, SelfCheck]:
        """Every provider that was ever checked, by name."""
        with self._one_at_a_time, translated(self.path):
            rows = self._connection.execute(f"SELECT {_COLUMNS} FROM self_check ORDER BY provider").fetchall()
        return {row[0]: self._check(row) for row in rows}

    def update(self, provider: str, change: CheckChange) -> SelfCheck:
        """Replace what is stored of ``provider`` by ``change`` of it, in one transaction; gives the new one."""
        with self._one_at_a_time, translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                query = f"SELECT {_COLUMNS} FROM self_check WHERE provider = ?"
                row = self._connection.execute(query, (provider,)).fetchone()
                after = change(SelfCheck(provider) if row is None else self._check(row))
                self._connection.execute(_REPLACE, _values(after))
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.rollback()
        return after

    def close(self) -> None:
        self._connection.close()

    def _check(self, row: tuple[Any, ...]) -> SelfCheck:
        provider, checked_at, outcome, code, detail, recent, unit, left, limit, resets_at, told_at = row
        try:
            latencies = tuple(None if each is None else int(each) for each in json.loads(recent))
            times = [parse_rfc3339(each) if each else None for each in (checked_at, resets_at, told_at)]
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self.path} holds a check of {provider} that cannot be read.",
                hint="Move the file away; it is built anew.",
            ) from error
        return SelfCheck(provider, times[0], outcome, code, detail, latencies, unit, left, limit, times[1], times[2])


def _values(check: SelfCheck) -> tuple[object, ...]:
    return (
        check.provider,
        _text(check.checked_at),
        check.outcome,
        check.code,
        check.detail,
        json.dumps(check.recent, separators=(",", ":")),
        check.quota_unit,
        check.quota_left,
        check.quota_limit,
        _text(check.quota_resets_at),
        _text(check.quota_told_at),
    )


def _text(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None
