"""What a chain's answer means for one delivery: the crash-safe half of "who got it, who did not, and why".

Pure functions over the attempts, so that every row of the table can be tested without a socket. The rules are those of
RFC 5321 4.2.1 (a 4xx may succeed later, a 5xx will not) and RFC 3463 (which part of the mail is at fault).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.chain_answer import ChainResult
from aicmo.store.claiming import Verdict
from aicmo.store.deliveries import State

BACKOFF = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240, 480, 720, 720))
"""Between the tries of a mailbox that says "later". The first suits greylisting; the sum is a day and a half."""
PROVIDER_BACKOFF = timedelta(seconds=30)
"""After every server failed: the mailbox is not to blame, and the servers' own cooling does the rest."""
DEAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"})
"""Enhanced codes (RFC 3463 3.2, RFC 7505) that say the address will never work: it is suppressed."""


def verdict_of(result: ChainResult, *, attempts_before: int, let_go: bool, now: datetime) -> Verdict:
    """The next state of a claimed delivery.

    ``let_go`` says whether the row is already ``sending``; then it must not go back to ``queued``. ``attempts_before``
    is how often it was claimed before.
    """
    final = result.final
    told = Verdict(State.SENT, final.provider, final.code, _reason(final), final.reference)
    if any(attempt.applied is Applied.UNKNOWN for attempt in result.attempts):
        return _as(told, State.UNKNOWN)
    if final.applied is Applied.YES:
        return told
    if final.outcome is Outcome.INPUT or final.permanent or (is_sender_fault(final) and final.code.startswith("5")):
        return _as(told, State.FAILED)  # unchanged content is never offered twice to who refused it
    if final.outcome in (Outcome.RECIPIENT, Outcome.CONTENT):
        if attempts_before >= len(BACKOFF):
            return _as(told, State.FAILED, reason=f"given up after {attempts_before + 1} tries: {told.reason}")
        return _as(told, State.DEFERRED, retry_at=_later(final.retry_at, now + BACKOFF[attempts_before]))
    if final.outcome in (Outcome.SKIPPED, Outcome.CANCELLED) and not let_go:
        return Verdict(State.QUEUED)
    return _as(told, State.DEFERRED, retry_at=_later(result.retry_at, now + PROVIDER_BACKOFF))


def is_dead_address(attempt: Attempt) -> bool:
    """Whether the server said that nobody will ever read mail there."""
    return (
        attempt.outcome is Outcome.RECIPIENT
        and attempt.permanent
        and any(part in DEAD_ADDRESS for part in attempt.code.split())
    )


def is_sender_fault(attempt: Attempt) -> bool:
    """Whether the server refused what we say or who we are, and so would refuse it for the next recipient too."""
    return attempt.outcome is Outcome.CONTENT


def _as(told: Verdict, state: State, *, reason: str | None = None, retry_at: datetime | None = None) -> Verdict:
    return Verdict(state, told.provider, told.code, told.reason if reason is None else reason, told.reference, retry_at)


def _reason(attempt: Attempt) -> str:
    if attempt.applied is Applied.YES:
        return attempt.detail
    where = f" ({attempt.phase})" if attempt.phase else ""
    return f"{attempt.detail or attempt.outcome}{where}"


def _later(asked: datetime | None, ours: datetime) -> datetime:
    """A server may ask for more patience than ours, never for less."""
    return max(asked, ours) if asked else ours
