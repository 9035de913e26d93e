"""A share that says what it is a share of, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

Z_95 = 1.959964
"""The normal quantile of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True)
class Rate:
    numerator: int
    denominator: int

    @property
    def value(self) -> float | None:
        """0-1; ``None`` when there is nothing to be a share of: undefined is not zero."""
        return self.numerator / self.denominator if self.denominator else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval at 95 % (Wilson 1927), each end 0-1; ``None`` when undefined."""
        if not self.denominator:
            return None
        n, p = self.denominator, self.numerator / self.denominator
        centre = p + Z_95**2 / (2 * n)
        spread = Z_95 * sqrt(p * (1 - p) / n + Z_95**2 / (4 * n * n))
        scale = 1 + Z_95**2 / n
        return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)

    def as_dict(self) -> dict[str, object]:
        return {
            "numerator": self.numerator,
            "denominator": self.denominator,
            "value": self.value,
            "interval": list(self.interval) if self.interval else None,
        }
