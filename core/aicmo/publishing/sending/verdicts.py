"""What a chain's answer means for one delivery: the crash-safe half of "who got it, who did not, and why".

Pure functions over the attempts, so that every row of the table can be tested without a socket. The rules are those of
RFC 5321 4.2.1 (a 4xx may succeed later, a 5xx will not) and RFC 3463 (which part of the mail is at fault).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from aicmo.gateways.attempt import Applied, Attempt, Outcome
from aicmo.gateways.chain_answer import ChainResult
from aicmo.gateways.smtp_reply import is_domain_limit, says_full, says_nobody
from aicmo.store.claiming import Verdict
from aicmo.store.deliveries import State

BACKOFF = tuple(timedelta(minutes=m) for m in (5, 15, 30, 60, 120, 240, 480, 720, 720, 720))
"""Between the tries of a mailbox that says "later". The first suits greylisting; the sum is a good two days: a letter
may take four or five (RFC 5321 4.5.4.1), but news is old by then."""
PROVIDER_BACKOFF = timedelta(seconds=30)
"""After every server failed: the mailbox is not to blame, and the servers' own cooling does the rest."""
DEAD_ADDRESS = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "556"})
"""Codes (RFC 3463 3.2, RFC 7504 and 7505) that say the address will never work: it is suppressed."""
DISABLED = "5.2.1"
"""A mailbox that is disabled (RFC 3463 3.3) is not tried again at once; said twice, it is suppressed."""
_FULL_CODES = frozenset({"4.2.2", "5.2.2", "4.2.1", DISABLED})
_BEFORE_RCPT = frozenset({"", "check", "connect", "tls", "ehlo", "starttls", "auth", "mail"})
_ABOUT_THE_DOMAIN = re.compile(r"\bTSS0\d|\b(domain|destination)\b", re.IGNORECASE)
"""Words of a server that slows us down for the sake of where the mail goes; the first is Yahoo's."""
_DOMAIN_RATE = "4.7.28"
"""An unusual rate of mail to the recipient's domain: what Google answers."""


def verdict_of(result: ChainResult, *, attempts_before: int, let_go: bool, now: datetime) -> Verdict:
    """The next state of a claimed delivery.

    ``let_go`` says whether the row is already ``sending``; then it must not go back to ``queued``. ``attempts_before``
    is how often a server has answered about it before.
    """
    final = result.final
    told = Verdict(State.SENT, final.provider, final.code, _reason(final), final.reference, cause=_cause(final))
    if any(attempt.applied is Applied.UNKNOWN for attempt in result.attempts):
        return replace(told, state=State.UNKNOWN, cause="")
    if final.applied is Applied.YES:
        return told
    refused_for_good = final.permanent or (final.code.startswith("5") and (is_sender_fault(final) or _disabled(final)))
    if final.outcome is Outcome.INPUT or refused_for_good:
        return replace(told, state=State.FAILED)  # unchanged content is never offered twice to who refused it
    if final.outcome in (Outcome.RECIPIENT, Outcome.CONTENT) or _at_this_one(final):
        waits = (PROVIDER_BACKOFF, *BACKOFF) if _hung_up(final) else BACKOFF
        if attempts_before >= len(waits):
            reason = f"given up after {attempts_before + 1} tries: {told.reason}"
            return replace(told, state=State.FAILED, reason=reason)
        return replace(told, state=State.DEFERRED, retry_at=_later(final.retry_at, now + waits[attempts_before]))
    if final.outcome in (Outcome.SKIPPED, Outcome.CANCELLED) and not let_go:
        return Verdict(State.QUEUED)
    return replace(told, state=State.DEFERRED, retry_at=_later(result.retry_at, now + PROVIDER_BACKOFF))


def is_dead_address(attempt: Attempt) -> bool:
    """Whether the server said that nobody will ever read mail there: by its code, or where it has none by its words."""
    if attempt.outcome is not Outcome.RECIPIENT or not attempt.permanent:
        return False
    basic, _, enhanced = attempt.code.partition(" ")
    if enhanced:
        return enhanced in DEAD_ADDRESS
    return basic in DEAD_ADDRESS or (attempt.phase == "rcpt" and says_nobody(attempt.detail))


def slows_domain(attempt: Attempt) -> bool:
    """Whether the server asks for less mail to where this one goes: then all who are there wait, nobody is blamed."""
    if attempt.applied is not Applied.NO or attempt.phase in _BEFORE_RCPT or not attempt.code.startswith("4"):
        return False
    if attempt.outcome is Outcome.RATE_LIMITED:
        return _DOMAIN_RATE in attempt.code.split() or bool(_ABOUT_THE_DOMAIN.search(attempt.detail))
    return attempt.outcome is Outcome.RECIPIENT and is_domain_limit(attempt.detail)


def is_sender_fault(attempt: Attempt) -> bool:
    """Whether the server refused what we say or who we are, and so would refuse it for the next recipient too."""
    return attempt.outcome is Outcome.CONTENT


def _at_this_one(attempt: Attempt) -> bool:
    """Whether the server failed, hung up or asked to be left alone on hearing of this very message. Were that the
    message's fault, then offered at once it would be so again, for ever, and nobody behind it would get theirs."""
    return (
        attempt.outcome in (Outcome.TRANSIENT, Outcome.RATE_LIMITED)
        and attempt.phase not in _BEFORE_RCPT
        and not slows_domain(attempt)
    )


def _hung_up(attempt: Attempt) -> bool:
    """Whether it said no word about the message, as when a line drops: the first time that may well be an accident."""
    return attempt.outcome is Outcome.TRANSIENT and (not attempt.code or attempt.code.startswith("421"))


def _disabled(attempt: Attempt) -> bool:
    return attempt.outcome is Outcome.RECIPIENT and DISABLED in attempt.code.split()


def _cause(final: Attempt) -> str:
    """Whose fault it was, as one of ``deliveries.CAUSES``."""
    if final.applied is not Applied.NO:
        return ""
    if slows_domain(final):
        return "throttled"
    match final.outcome:
        case Outcome.INPUT:
            return "message"
        case Outcome.CONTENT:
            return "content"
        case Outcome.RECIPIENT if final.permanent:
            return "address"
        case Outcome.RECIPIENT:
            return "mailbox" if _FULL_CODES & set(final.code.split()) or says_full(final.detail) else "later"
        case Outcome.RATE_LIMITED:
            return "throttled"
        case Outcome.QUOTA:
            return "limit"
        case Outcome.TRANSIENT if _at_this_one(final):
            return "trouble"
        case _:
            return "server"


_WHEN = {
    "connect": "on connecting",
    "ehlo": "in greeting",
    "starttls": "in securing the line",
    "auth": "at the login",
    "mail": "at the sender",
    "rcpt": "at the recipient",
    "data": "before the message",
    "body": "amid the message",
    "reply": "after the message",
}
"""How far it had come, for a person (phase of ``Attempt``)."""


def _reason(attempt: Attempt) -> str:
    if attempt.applied is Applied.YES:
        return attempt.detail
    known = attempt.phase in _WHEN and attempt.outcome is not Outcome.QUOTA  # where a limit is met says nothing
    where = f" ({_WHEN[attempt.phase]})" if known else ""
    return f"{attempt.detail or attempt.outcome}{where}"


def _later(asked: datetime | None, ours: datetime) -> datetime:
    """A server may ask for more patience than ours, never for less."""
    return max(asked, ours) if asked else ours
