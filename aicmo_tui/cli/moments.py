"""Times as they are written on the command line."""

from __future__ import annotations

from datetime import datetime

from aicmo.clock import SYSTEM_CLOCK


def moment(text: str) -> datetime:
    """See ``parse_moment``; hours are this computer's. Raises ``InvalidInput``."""
    from aicmo.publishing.moments import parse_moment

    return parse_moment(text, SYSTEM_CLOCK.now())
