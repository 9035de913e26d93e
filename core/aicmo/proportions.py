"""Whether one share is really larger than another, or may be so by chance."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt


def z_test(count_a: int, of_a: int, count_b: int, of_b: int) -> tuple[float, float]:
    """The pooled two-proportion z of B against A, and its two-sided p; (0, 1) when both are all or nothing.

    The totals must not be 0. Reference: 120/1000 against 90/1000 is z = 2.188266, p = 0.028650.
    """
    pooled = (count_a + count_b) / (of_a + of_b)
    spread = sqrt(pooled * (1 - pooled) * (1 / of_a + 1 / of_b))
    if not spread:
        return 0.0, 1.0
    z = (count_b / of_b - count_a / of_a) / spread
    return z, erfc(abs(z) / sqrt(2))


def z_test_holds(counts: Sequence[int], totals: Sequence[int]) -> bool:
    """Whether there is enough for a ``z_test``: more than five are expected to, and more than five not to, in each."""
    pooled = sum(counts) / sum(totals)
    return all(total * min(pooled, 1 - pooled) > 5 for total in totals)


def holm(p_values: Sequence[float]) -> list[float]:
    """The same p-values, made as much larger as asking several questions at once demands (Holm 1979)."""
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted
