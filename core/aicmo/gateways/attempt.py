"""What one call to one provider came to.

A chain decides by this record alone, so every adapter must fill it truthfully: ``applied`` above all. A side effect may
be tried elsewhere only while every attempt so far says ``Applied.NO``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class Outcome(StrEnum):
    """Whose fault it was, and what follows. The table behind it is ``facts`` section 3.1 of the resilience notes."""

    OK = "ok"
    MISS = "miss"
    """The provider answered, and has nothing. The next may; nobody is blamed."""
    TRANSIENT = "transient"
    """The provider or the way to it failed. Costs health; may succeed later."""
    RATE_LIMITED = "rate_limited"
    """Too fast. Not sick; closed until ``retry_at``."""
    QUOTA = "quota"
    """An allowance is used up. Closed until ``retry_at``, or until a person acts."""
    AUTH = "auth"
    """The credential or configuration is refused. Closed until it changes."""
    INPUT = "input"
    """Our own request was wrong. The next provider would get the same; nobody is blamed."""
    RECIPIENT = "recipient"
    """The person's mailbox or account refuses, for now or for good. Nobody is blamed."""
    CONTENT = "content"
    """The content or our reputation is refused. Spreading it to the next provider would spread the damage."""
    AMBIGUOUS = "ambiguous"
    """It may have happened. Never repeated, never tried elsewhere."""
    CANCELLED = "cancelled"
    """We stopped it ourselves. No verdict on anyone."""
    SKIPPED = "skipped"
    """No call was made: the provider is closed, or there is none."""


class Applied(StrEnum):
    """Did the side effect happen?"""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    provider: str
    """The configured name (``smtp-main``), or empty when no provider was usable."""
    outcome: Outcome
    applied: Applied
    phase: str = ""
    """How far it got, in the protocol's own words: ``connect``, ``auth``, ``rcpt``, ``body``, ``reply``, ..."""
    code: str = ""
    """The provider's own code: ``250``, ``550 5.1.1``, ``429``. Empty when it gave none."""
    detail: str = ""
    """The provider's words, made plain, on one line, at most 300 characters; never a secret."""
    permanent: bool = False
    """For ``RECIPIENT`` and ``CONTENT``: trying this recipient or content again is useless."""
    retry_at: datetime | None = None
    """Not before then (UTC); ``None`` when the provider did not say."""
    latency_s: float = 0.0
    """Seconds of the call, waiting for a connection included."""
    reference: str = ""
    """The provider's name for what it did: the queue id in SMTP's final 250."""
    allowed: tuple[tuple[str, int], ...] = ()
    """What the provider says it allows this account: (``second``, ``minute``, ``hour`` or ``day``, calls within it)."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a read yields: how it went, and what was read."""

    attempt: Attempt
    value: T | None = None
    """``None`` unless the attempt is ``OK``."""


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of an allowance, as the provider tells it."""

    unit: str
    """``credits`` or ``requests``."""
    left: int | None
    limit: int | None
    resets_at: datetime | None
    """When it is full again (UTC); ``None`` when the provider does not say."""
