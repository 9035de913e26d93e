"""What work through a chain would cost at most, before anything is spent: for ``--dry-run``.

The dearest course is assumed: every provider is asked about every record, as when each one before it had nothing
complete. A provider's credits are its own, so they are told one by one and never added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aicmo.gateways.chain import ProviderChain
from aicmo.gateways.limits import CALLS, Budgets, Estimate


@dataclass(frozen=True, slots=True)
class ProviderEstimate:
    provider: str
    open: bool
    """Whether a call made now would reach it."""
    reason: str
    """Why not; empty when it would."""
    calls: int
    """How many, in its batches."""
    costs: tuple[Estimate, ...]
    """One per unit it charges in: the most it can cost, and what is left of the month's budget. Empty: it is free."""
    told_left: int | None
    """What the provider itself last said was left of its credits; ``None`` when it never said."""

    @property
    def fits(self) -> bool:
        """Whether the budgets and what it said is left cover the most it can cost."""
        credits = next((each.cost for each in self.costs if each.unit == "credits"), 0)
        return all(each.fits for each in self.costs) and (self.told_left is None or credits <= self.told_left)


@dataclass(frozen=True, slots=True)
class ChainEstimate:
    capability: str
    records: int
    providers: tuple[ProviderEstimate, ...]
    """In the order they are asked."""

    @property
    def fits(self) -> bool:
        """Whether nobody's budget could stop the work half-way."""
        return all(each.fits for each in self.providers)


async def estimate(
    chain: ProviderChain[Any],
    records: int,
    cost: Callable[[Any, int], Mapping[str, int]],
    budgets: Budgets,
    told_left: Mapping[str, int | None],
) -> ChainEstimate:
    """What ``records`` records through ``chain`` would cost; nothing is reserved, and nobody is asked.

    ``cost`` is that of a provider and a batch of so many, as ``ask_each`` is given it: unit -> the most it can be.
    ``told_left``: provider name -> the credits it last said were left. Raises ``ValueError`` for fewer than no records,
    ``StoreError``.
    """
    if records < 0:
        raise ValueError(f"{records} records")
    found = []
    for provider in chain.providers:
        size = getattr(provider, "batch_size", 0) or records or 1
        batches = [min(size, records - start) for start in range(0, records, size)]
        most: dict[str, int] = {}
        for batch in batches:
            for unit, amount in cost(provider, batch).items():
                if unit != CALLS:
                    most[unit] = most.get(unit, 0) + amount
        look = await chain.registry.look(provider)
        costs = await budgets.estimate(provider.name, most)
        found.append(
            ProviderEstimate(
                provider.name, look.allowed, look.reason, len(batches), costs, told_left.get(provider.name)
            )
        )
    return ChainEstimate(chain.capability, records, tuple(found))
