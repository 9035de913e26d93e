"""Where uses of limits are kept: in one place for all processes, in this process alone, or nowhere."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aicmo.errors import AicmoError
from aicmo.limit_state import LimitUse, Step

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LimitStore(Protocol):
    """Where uses are kept. Both methods are called in a thread, may wait, and may raise ``AicmoError``."""

    def update(self, provider: str, names: Sequence[str], step: Step) -> None:
        """Replace the uses of ``names`` by ``step`` of them, in one transaction over all processes."""
        ...

    def load_all(self) -> Sequence[LimitUse]: ...


class MemoryLimitStore:
    """Uses of this process alone."""

    def __init__(self) -> None:
        self._uses: dict[tuple[str, str], LimitUse] = {}
        self._one_at_a_time = threading.Lock()

    def update(self, provider: str, names: Sequence[str], step: Step) -> None:
        with self._one_at_a_time:
            before = [self._uses.get((provider, name)) or LimitUse(provider, name) for name in names]
            self._uses.update({(use.provider, use.name): use for use in step(before)})

    def load_all(self) -> Sequence[LimitUse]:
        with self._one_at_a_time:
            return list(self._uses.values())


class NoLimitStore:
    """In place of a store that could not be opened: every use of it says why."""

    def __init__(self, error: AicmoError) -> None:
        self._error = error

    def update(self, provider: str, names: Sequence[str], step: Step) -> None:
        raise self._error

    def load_all(self) -> Sequence[LimitUse]:
        raise self._error


def milliseconds(at: datetime) -> int:
    """Since 1970, UTC: how a limit's times are stored."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)
