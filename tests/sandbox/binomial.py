"""The exact binomial interval: what a count may be when a rate is true."""

from __future__ import annotations

from math import exp, lgamma, log


def interval(trials: int, rate: float, confidence: float = 0.999) -> tuple[int, int]:
    """The least and the most successes that are not in the outer tails of ``1 - confidence``."""
    if rate in (0.0, 1.0):
        return round(trials * rate), round(trials * rate)
    tail = (1 - confidence) / 2
    below, least, most = 0.0, 0, trials
    for successes in range(trials + 1):
        ways = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(trials - successes + 1)
        below += exp(ways + successes * log(rate) + (trials - successes) * log(1 - rate))
        if below < tail:
            least = successes + 1
        if below >= 1 - tail:
            most = successes
            break
    return least, most
