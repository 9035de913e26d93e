"""What is remembered of a provider's self-checks, as plain data.

``gateways`` decides what a check means and ``store`` writes it down; neither knows the other, so the shape of the
record stands here, between them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

RECENT = 40


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """One provider, as all processes see it. Times are UTC and aware. The defaults are one that nobody has checked."""

    provider: str
    checked_at: datetime | None = None
    outcome: str = ""
    """Of the last check, an outcome class; empty before the first."""
    code: str = ""
    detail: str = ""
    """The provider's words, on one line, never a secret."""
    recent: tuple[int | None, ...] = ()
    """Milliseconds of the last forty checks, the newest last; ``None`` for one that failed."""
    quota_unit: str = ""
    """``credits`` or ``requests``; empty when the provider has never told what is left."""
    quota_left: int | None = None
    quota_limit: int | None = None
    quota_resets_at: datetime | None = None
    quota_told_at: datetime | None = None


CheckChange = Callable[[SelfCheck], SelfCheck]
"""A pure step from what is stored to what follows; run inside the store's transaction."""
