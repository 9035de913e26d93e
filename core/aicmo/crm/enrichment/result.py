"""What a run came to, in numbers that add up: of those selected, everybody is in exactly one count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

COUNTED = ("found", "unknown", "failed", "remaining", "no_match")
"""What can be said of somebody at the end, the strongest word first: one provider's find outweighs another's miss."""


@dataclass(slots=True)
class ProviderCounts:
    """What one provider was asked and said. ``asked`` is the sum of ``found``, ``no_match``, ``failed``, ``unknown``
    and, while a run is going on, of what is on its way."""

    provider: str
    asked: int = 0
    found: int = 0
    no_match: int = 0
    failed: int = 0
    """Provably not answered, and not paid for."""
    unknown: int = 0
    """May have been paid for."""
    not_asked: int = 0
    """Were to be asked about, and were not."""
    credits: Decimal = Decimal(0)
    """What was found cost so many of the provider's own credits."""
    credits_in_doubt: int = 0
    """What the unknown may have cost beside that, at most."""
    why: str = ""
    """Why it was not asked any more; empty when everybody was asked about."""
    refused: bool = False
    """Whether that was because it does not accept our credential."""

    def as_dict(self) -> dict[str, object]:
        record: dict[str, object] = {each.name: getattr(self, each.name) for each in fields(self)}
        return record | {"credits": float(self.credits), "why": self.why or None}


@dataclass(frozen=True, slots=True)
class Progress:
    done: int
    """People about whom all is said that will be."""
    total: int
    providers: tuple[ProviderCounts, ...]


@dataclass(slots=True)
class EnrichmentResult:
    status: str
    """``done``; ``partial``: somebody was not asked about, or nobody knows; ``stopped`` by the person; ``skipped``: no
    provider is configured."""
    why: str = ""
    selected: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    """By the names of ``plan.SKIPPED``."""
    counts: Counter[str] = field(default_factory=Counter)
    """By the names of ``COUNTED``; with the skipped ones they are the selected."""
    providers: tuple[ProviderCounts, ...] = ()
    fetched: int = 0
    """People whose answer an earlier run had paid for, and this one fetched."""
    lost: int = 0
    """People whose outcome an earlier run did not live to write down: unknown since."""
    changed: int = 0
    """People in whom a field was filled, or who moved on."""
    conflicts: int = 0
    """Fields of which a provider says something else than what stands there."""
    suppressed: tuple[str, ...] = ()
    """Addresses that a provider says must not be written to."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """Verified addresses by what was said of them: ``valid``, ``risky``, ``invalid``, ``unknown``."""
    change_id: int | None = None
    """What undo takes back; ``None`` when nobody was changed."""

    def counts_dict(self) -> dict[str, int]:
        """Fixed names: ``selected``, ``asked`` and the names of ``COUNTED``."""
        asked = sum(self.counts[name] for name in COUNTED if name != "remaining")
        skipped = sum(self.skipped.values())
        return {"selected": self.selected, "skipped": skipped, "asked": asked} | {
            name: self.counts[name] for name in COUNTED
        }
