"""The rows of a table: where they come from, and which of them are held.

Only the pages looked at last are kept, so that a table of any length takes the same room. Nothing is read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

R = TypeVar("R")

PAGE_ROWS = 200
PAGES_KEPT = 16
PAGES_WANTED = 3
"""Who scrolls fast passes pages by; only the last ones asked for are read."""


class Source(Protocol[R]):
    """Where rows come from. Both methods block; the table calls them on a thread."""

    def count(self) -> int: ...

    def window(self, offset: int, limit: int) -> Sequence[R]: ...


@runtime_checkable
class Abandonable(Protocol):
    """A source that can be told that nobody waits for it any more. Its reads then raise ``Interrupted``, soon."""

    def abandon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Rows(Generic[R]):
    """A source for what is already at hand."""

    rows: Sequence[R]

    def count(self) -> int:
        return len(self.rows)

    def window(self, offset: int, limit: int) -> Sequence[R]:
        return self.rows[offset : offset + limit]


class Pages(Generic[R]):
    """What has been read of a source, by number of page, and what is still to be read."""

    def __init__(self) -> None:
        self.wanted: list[int] = []
        """The one asked for last is what the eye is on: it is read first."""
        self._held: dict[int, Sequence[R]] = {}  # the page looked at last is the last
        self._stale: set[int] = set()

    def __len__(self) -> int:
        return len(self._held)

    def look(self, page: int) -> Sequence[R] | None:
        """The rows of ``page``, also when they are stale; ``None`` when it is not held."""
        rows = self._held.pop(page, None)
        if rows is not None:
            self._held[page] = rows
        return rows

    def is_fresh(self, page: int) -> bool:
        """Whether ``page`` is held and need not be read again."""
        return page in self._held and page not in self._stale

    def want(self, page: int) -> None:
        """Ask for ``page``, before all others."""
        others = [each for each in self.wanted if each != page]
        self.wanted = [*others[1 - PAGES_WANTED :], page]

    def keep(self, page: int, rows: Sequence[R]) -> None:
        """What has been read of ``page``; those not looked at for longest give way."""
        self._held[page] = rows
        while len(self._held) > PAGES_KEPT:
            del self._held[next(iter(self._held))]
        self._stale.discard(page)

    def grow_stale(self) -> None:
        """Everything is to be read again when it is next looked at."""
        self._stale = set(self._held)

    def clear(self) -> None:
        """Forget what was read, not what is wanted."""
        self._held.clear()
        self._stale.clear()
