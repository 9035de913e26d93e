"""What else a person decided about a campaign: when it may write to somebody, how late it may begin, and its links.

Kept as JSON in ``campaign.options``, only what differs from the default, so that a choice added to this class needs no
step of the schema.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, fields
from datetime import timedelta

from aicmo.errors import InvalidInput
from aicmo.hours import ZONES, Hours, parse_hours
from aicmo.text import shown

LATEST_MINUTES = 365 * 24 * 60


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """What was chosen for one campaign; the rest is as the configuration says."""

    hours: str = ""
    """``09:00-17:00``: nobody gets it before or after; empty is the whole day."""
    days: str = ""
    """``mon-fri``, or ``mon,wed,fri``; empty is every day."""
    zone: str = "recipient"
    """Whose clock says so: ``recipient`` or ``business``."""
    late_after_minutes: int | None = None
    """Begun later than so long after its time it asks first; ``None``: as the configuration says."""
    utm: bool | None = None
    """Whether campaign parameters are added to its links; ``None``: as the configuration says."""

    @property
    def window(self) -> Hours | None:
        """``None``: at any time."""
        return parse_hours(self.hours, self.days)

    @property
    def late_after(self) -> timedelta | None:
        """``late_after_minutes`` as a span."""
        return None if self.late_after_minutes is None else timedelta(minutes=self.late_after_minutes)


AS_USUAL = CampaignOptions()


def checked(options: CampaignOptions) -> CampaignOptions:
    """The same, if a campaign can be kept to them. Raises ``InvalidInput``."""
    parse_hours(options.hours, options.days)
    if options.zone not in ZONES:
        raise InvalidInput(f"{shown(options.zone)} is nobody's zone.", hint=f"Say one of: {', '.join(ZONES)}.")
    if options.late_after_minutes is not None and not 0 < options.late_after_minutes <= LATEST_MINUTES:
        raise InvalidInput("A campaign can be late after a minute at the soonest, and a year at the latest.")
    return options


def to_json(options: CampaignOptions) -> str:
    """What was chosen, without what is as usual."""
    default = asdict(CampaignOptions())
    return json.dumps({key: value for key, value in asdict(options).items() if value != default[key]})


@functools.lru_cache(maxsize=256)
def from_json(text: str) -> CampaignOptions:
    """What ``to_json`` wrote; a key that is unknown here is passed over."""
    known = {field.name for field in fields(CampaignOptions)}
    return CampaignOptions(**{key: value for key, value in json.loads(text).items() if key in known})
