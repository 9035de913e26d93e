"""What is remembered of this machine's own network, as plain data.

``gateways`` decides what it means and ``store`` writes it down; neither knows the other, so the shape of the record
stands here, between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NetworkState:
    """The way to the outside, as all processes see it. Times are UTC and aware. The defaults are: nothing is wrong."""

    down_since: datetime | None = None
    """``None`` while it is there, as far as anybody knows."""
    believed_until: datetime | None = None
    """Nobody has confirmed it after that; whoever comes then finds out by themselves."""
    next_try_at: datetime | None = None
    """When one call may look whether it is back."""


NetworkChange = Callable[[NetworkState], NetworkState]
"""A pure step from what is stored to what follows; run inside the store's transaction."""
