"""Looking at health again and again, and telling what matters: a change, or that nothing changed.

A change is one that a person would act on: a state, who serves, a recommendation. A score that moves in its third
decimal is none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.gateways.status import HealthReport

HEARTBEAT_S = 30.0
"""After so long without a word, whoever listens may think that we are gone."""

FIRST, CHANGE, HEARTBEAT = "first", "change", "heartbeat"


@dataclass(frozen=True, slots=True)
class Sighting:
    event: str
    """``first``, ``change`` or ``heartbeat``; empty when there is nothing to tell."""
    report: HealthReport


async def watch(
    look: Callable[[], HealthReport], interval_s: float, *, clock: Clock = SYSTEM_CLOCK
) -> AsyncIterator[Sighting]:
    """Look every ``interval_s`` seconds, until whoever iterates stops; one sighting for each look."""
    before: object = None
    told_at = clock.monotonic()
    while True:
        report = look()
        seen, now_s = essence(report), clock.monotonic()
        event = ""
        if seen != before:
            event = FIRST if before is None else CHANGE
        elif now_s - told_at >= HEARTBEAT_S:
            event = HEARTBEAT
        if event:
            before, told_at = seen, now_s
        yield Sighting(event, report)
        await clock.sleep(interval_s)


def essence(report: HealthReport) -> object:
    """What of a report is news when it differs."""
    chains = [
        (each.capability, each.status, each.serving, [(it.name, it.state, it.reason) for it in each.providers])
        for each in report.capabilities
    ]
    advice = [(each.cause, each.provider) for each in report.recommendations]
    return report.status, report.degraded, report.unknown_sends, chains, advice
