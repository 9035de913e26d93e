"""What is remembered of a limit, as plain data: how often a provider was called lately, what it was paid this month.

``gateways`` decides what may still be used and ``store`` writes it down; neither knows the other, so the shape of the
record stands here, between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """A part of a limit that counts until a moment."""

    amount: int
    until_ms: int
    """Milliseconds since 1970, UTC. A rate forgets the part then; a budget takes it for spent."""
    key: str = ""
    """Whose it is: the reservation's id. Empty for a rate, which never gives back."""


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit of one provider, as all processes see it. The defaults are a limit that nobody has used."""

    provider: str
    name: str
    """A rate's span (``second``, ``minute``, ``hour``, ``day``), or a budget's unit and month (``credits 2026-11``)."""
    held: tuple[Held, ...] = ()
    spent: int = 0
    """Settled; credits, or minor units of a currency. A rate spends nothing."""
    lowered_to: int | None = None
    """What the provider itself allows, where it said less than is configured."""
    lowered_until_ms: int = 0


Step = Callable[[Sequence[LimitUse]], Sequence[LimitUse]]
"""A pure step from the stored uses to the next; run inside the store's transaction, so that no use is lost."""
