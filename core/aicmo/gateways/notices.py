"""Which changes of state a person is told of: those that last.

The log of changes keeps everything; a notice is only made of what has settled. Nobody is told that a provider is back
who was not told that it was gone, and one that comes and goes is announced once, as flapping.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from aicmo.gateways.breaker import FLAPPING
from aicmo.provider_state import BLOCKED, COOLING, OK, StateChange

SETTLED_S = 60.0
"""A provider that goes on as it is for so long has settled."""


def notices(changes: Iterable[StateChange], now: datetime) -> list[StateChange]:
    """Those of ``changes`` (oldest first, of any providers) that are worth telling by ``now``, oldest first.

    Blocked and flapping are told at once, because they do not end by themselves soon; gone and back when they last.
    """
    by_name: dict[str, list[StateChange]] = {}
    for change in changes:
        if change.after in (OK, COOLING, BLOCKED):
            by_name.setdefault(change.name, []).append(change)
    told = [change for history in by_name.values() for change in _of_one(history, now)]
    return sorted(told, key=lambda change: change.at)


def _of_one(history: list[StateChange], now: datetime) -> Iterable[StateChange]:
    away = False
    ends = [change.at for change in history[1:]]
    for change, end in zip(history, [*ends, now], strict=True):
        lasts = end - change.at >= timedelta(seconds=SETTLED_S)
        if change.after == OK:
            if away and lasts:
                away = False
                yield change
        elif not away and (lasts or change.after == BLOCKED or change.why.startswith(FLAPPING)):
            away = True
            yield change
