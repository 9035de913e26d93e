"""Trying again, in the one layer that does: how long to wait, and how often at all.

Waits are drawn between nothing and a growing bound ("full jitter"), so that callers who failed together do not return
together. A budget bounds all retries of a chain: rare failures are retried freely, and when everything fails, retries
add a tenth to the load (Brooker, "Fixing retries with token buckets").
"""

from __future__ import annotations

from dataclasses import dataclass

BASE_S, CAP_S = 0.5, 20.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    rounds: int = 3
    """How often the chain is walked at most, the first time included (the SRE book's limit)."""
    longest_wait_s: float = 5.0
    """A wait that would be longer is not made: the caller is told when to come back."""

    def wait_s(self, retry: int, chance: float) -> float:
        """Before the ``retry``-th retry (from 0); ``chance`` is 0–1."""
        return chance * min(BASE_S * 2.0**retry, CAP_S)


@dataclass(slots=True)
class RetryBudget:
    tokens: float = 10.0
    most: float = 10.0
    gain: float = 0.1
    """What a success earns. A retry costs one."""

    def take(self) -> bool:
        """Whether one more retry is affordable; if so, it is paid."""
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def earn(self) -> None:
        self.tokens = min(self.tokens + self.gain, self.most)
