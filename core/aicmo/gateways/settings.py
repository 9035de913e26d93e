"""What the configuration blocks of several providers have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from aicmo.sending_config import Limits

__all__ = ["Limits", "WarmUp", "WarmUpTable", "warm_up_caps"]


LONGEST_WARM_UP = 365


class WarmUp(BaseModel):
    """``warm_up = { start = 50, growth = 1.3 }``: how many messages a new account may send on its first day of sending,
    and by what factor more on each further one, until ``limits.day`` is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: int = Field(default=50, gt=0)
    growth: float = Field(default=1.3, ge=1.01, le=3)

    def up_to(self, day: int) -> tuple[int, ...]:
        """The caps of each day that are below ``day``."""
        caps: list[int] = []
        cap = float(self.start)
        while int(cap) < day and len(caps) < LONGEST_WARM_UP:
            caps.append(int(cap))
            cap *= self.growth
        return tuple(caps)


WarmUpTable = Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1, max_length=LONGEST_WARM_UP)]
"""The same, day by day: ``[50, 100, 200]``."""


def warm_up_caps(warm_up: WarmUp | list[int] | None, limits: Limits) -> tuple[int, ...]:
    """Messages a day on the first days of sending; empty for an account that is warm.

    Raises ``ValueError`` for a warm-up without an end.
    """
    if isinstance(warm_up, WarmUp):
        if limits.day is None:
            raise ValueError("warm_up needs limits.day, which is where it ends")
        return warm_up.up_to(limits.day)
    return tuple(warm_up or ())
