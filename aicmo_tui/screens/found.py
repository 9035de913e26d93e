"""Whom a query finds, as the table's source, however many they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sqlite3 import Connection
from typing import TYPE_CHECKING, TypeVar

from aicmo.crm.query import check_query
from aicmo.crm.segments import select
from aicmo.store import contacts
from aicmo.store.listing import Listed, listed
from aicmo.store.selection import Selection

if TYPE_CHECKING:
    from aicmo.workspace import Workspace

T = TypeVar("T")


class Found:
    """Raises ``QueryInvalid`` for what is no query, at once as far as it shows, else when it is read."""

    def __init__(self, workspace: Workspace, query: str) -> None:
        check_query(query)
        self._db = workspace.db
        self._query, self._now = query, workspace.clock.now()
        self._total: int | None = None
        self._abandoned = False

    def count(self) -> int:
        self._total = self._read(lambda db: contacts.count(db, self._selection(db)))
        return self._total

    def window(self, offset: int, limit: int) -> Sequence[Listed]:
        """The known total lets the store walk to a far row from the nearer end."""

        def work(db: Connection) -> Sequence[Listed]:
            return listed(db, contacts.window(db, self._selection(db), offset, limit, total=self._total))

        return self._read(work)

    def ids(self) -> Sequence[int]:
        """Everybody, at this moment, for verbs that ask a person first and then do it to the same ones."""
        return self._read(lambda db: contacts.ids(db, self._selection(db)))

    def abandon(self) -> None:
        self._abandoned = True

    def _selection(self, db: Connection) -> Selection:
        """Of the moment when it was asked, so that all its pages fit together."""
        return select(db, self._query, now=self._now)

    def _read(self, work: Callable[[Connection], T]) -> T:
        return self._db.read(work, given_up=lambda: self._abandoned)
