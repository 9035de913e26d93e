"""Limits in ``health.db``: a row each, changed only inside ``BEGIN IMMEDIATE``, so that all processes count together.

A connection of its own, because who wants to use a limit waits for the others; who records health does not.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any

from aicmo.errors import StoreError
from aicmo.limit_state import Held, LimitUse, Step
from aicmo.store.database import translated
from aicmo.store.health import HealthDb, connect

BUSY_MS = 5_000
"""SQLite's waiting is not fair: of four processes that never pause, one may wait a third of a second."""

_SELECT = "SELECT provider, name, held, spent, lowered_to, lowered_until_ms FROM limit_use"
_UPSERT = """
INSERT INTO limit_use (provider, name, held, spent, lowered_to, lowered_until_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (provider, name) DO UPDATE SET held = excluded.held, spent = excluded.spent,
    lowered_to = excluded.lowered_to, lowered_until_ms = excluded.lowered_until_ms
"""


class LimitDb:
    """The limits' side of an open ``health.db``; close it before that. For threads: every method may wait."""

    def __init__(self, health: HealthDb) -> None:
        self.path = health.path
        with translated(self.path):
            self._connection = connect(self.path, BUSY_MS)
        self._one_at_a_time = threading.Lock()

    def update(self, provider: str, names: Sequence[str], step: Step) -> None:
        """Replace the uses of ``names``, in that order, by ``step`` of them, in one transaction.

        What ``step`` raises leaves everything as it was. Raises ``StoreError``.
        """
        with self._one_at_a_time, translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                before = [self._read(provider, name) for name in names]
                for old, new in zip(before, step(before), strict=True):
                    if new != old:
                        self._connection.execute(_UPSERT, _values(new))
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.rollback()

    def load_all(self) -> list[LimitUse]:
        """Every limit that was ever used, by provider and name."""
        with self._one_at_a_time, translated(self.path):
            rows = self._connection.execute(f"{_SELECT} ORDER BY provider, name").fetchall()
        return [self._use(row) for row in rows]

    def close(self) -> None:
        self._connection.close()

    def _read(self, provider: str, name: str) -> LimitUse:
        row = self._connection.execute(f"{_SELECT} WHERE provider = ? AND name = ?", (provider, name)).fetchone()
        return LimitUse(provider, name) if row is None else self._use(row)

    def _use(self, row: tuple[Any, ...]) -> LimitUse:
        provider, name, held, *rest = row
        try:
            parts = tuple(Held(int(amount), int(until_ms), str(key)) for amount, until_ms, key in json.loads(held))
        except (ValueError, TypeError) as error:
            raise StoreError(
                f"{self.path} holds a use of {provider}’s limits that cannot be read.",
                hint="Move the file away; it is built anew, and this month's budgets begin at zero.",
            ) from error
        return LimitUse(provider, name, parts, *rest)


def _values(use: LimitUse) -> tuple[object, ...]:
    held = json.dumps([(part.amount, part.until_ms, part.key) for part in use.held], separators=(",", ":"))
    return use.provider, use.name, held, use.spent, use.lowered_to, use.lowered_until_ms
