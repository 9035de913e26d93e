"""What the configuration says about sending, as the sender and the verbs of campaigns want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo

from aicmo.hours import our_zone
from aicmo.sending_config import SendingSettings
from aicmo.store.gates import Frequency, Gates, Limits


@dataclass(frozen=True, slots=True)
class PauseRules:
    """When a campaign pauses itself."""

    bounce_percent: float = 5
    """Percent: more than so many of the last 100 messages came back."""
    complaint_percent: float = 0.1
    """Percent: more than this part of what was sent was reported as spam."""
    refusals: int = 3
    """So many in a row were refused for what we say or who we are."""


@dataclass(frozen=True, slots=True)
class SendingRules:
    """When a message may go, as ``[sending]`` of the configuration says."""

    zone: tzinfo = UTC
    """The business zone: where nobody says where they are."""
    domains: Mapping[str, Limits] = field(default_factory=dict)
    """Caps by receiving domain; ``*`` is each other one."""
    frequency: Frequency | None = None
    """How often the same person may be written to; ``None``: whatever the campaigns say."""
    late_after: timedelta = timedelta(hours=12)
    """A scheduled campaign later than this asks instead of firing: the laptop slept, or the database was restored."""
    pause: PauseRules = PauseRules()

    def gates(self) -> Gates:
        """What of it the store looks at, delivery by delivery."""
        return Gates(self.zone, self.domains, self.frequency)


AS_USUAL = SendingRules()


def sending_rules(settings: SendingSettings) -> SendingRules:
    """The rules of one configuration. Raises ``InvalidInput`` for a zone that there is not."""
    cap = settings.frequency
    return SendingRules(
        our_zone(settings.timezone),
        {name: limits.model_dump(exclude_none=True) for name, limits in settings.domains.items()},
        Frequency(cap.most, cap.days) if cap else None,
        timedelta(hours=settings.late_after_hours),
        PauseRules(
            settings.pause_at_bounce_percent, settings.pause_at_complaint_percent, settings.pause_after_refusals
        ),
    )
