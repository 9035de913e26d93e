"""What a chain answers: who did it, or why nobody could, and when to come back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from aicmo.gateways.attempt import Applied, Attempt, Outcome

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class ChainResult:
    attempts: tuple[Attempt, ...]
    """Every call that was made, in order; empty when none was."""
    final: Attempt
    """The one that decides. ``SKIPPED`` when no call was made; its ``detail`` says why."""
    retry_at: datetime | None = None
    """When the work was not done and may be tried again: not before then (UTC). ``None``: at once, or never."""
    forced: bool = False
    """The last provider called was closed, and called because somebody was waiting and there was no other."""

    @property
    def served_by(self) -> str:
        """The provider that did it, or may have; empty when provably nobody did."""
        done = self.final.outcome is Outcome.OK or self.final.applied is not Applied.NO
        return self.final.provider if done else ""


@dataclass(frozen=True, slots=True)
class ChainAnswer(ChainResult, Generic[T]):
    value: T | None = None
    """What was read; ``None`` unless ``final`` is ``OK``."""


@dataclass(frozen=True, slots=True)
class ItemAnswer(Generic[R]):
    value: R | None = None
    """``None``: everybody missed, or nobody could be asked."""
    asked: tuple[str, ...] = ()
    """Who answered about it, in order; with a ``value`` the last one knew it. Empty when nobody could."""


@dataclass(frozen=True, slots=True)
class EachAnswer(Generic[R]):
    """What a chain knows of each of several items."""

    items: tuple[ItemAnswer[R], ...]
    """One per item asked about, in the same order."""
    attempts: tuple[Attempt, ...]
    retry_at: datetime | None = None
    """When to ask again for what nobody could be asked about; ``None`` when there is no such item."""
    why: str = ""
    """Why items are left that nobody answered about, in plain words; empty when there are none."""
