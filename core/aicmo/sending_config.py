"""The configuration's ``[sending]``: in whose time zone, how much at once, how often to one person, when to stop."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from aicmo.errors import InvalidInput
from aicmo.hours import our_zone


class Limits(BaseModel):
    """``limits = { second = 10, day = 500 }``: how many calls or messages may be made in any span of that length.

    What counts them is not the provider: mail is counted from the ledger, everything else over all processes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    second: int | None = Field(default=None, gt=0)
    minute: int | None = Field(default=None, gt=0)
    hour: int | None = Field(default=None, gt=0)
    day: int | None = Field(default=None, gt=0)


class FrequencyCap(BaseModel):
    """At most ``most`` messages to the same person in any ``days`` days, of all campaigns together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    most: int = Field(ge=1, le=1000)
    days: int = Field(ge=1, le=366)


def _known_zone(name: str) -> str:
    try:
        our_zone(name)
    except InvalidInput as error:
        raise ValueError(f"{error.message} {error.hint}") from None
    return name


class SendingSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    timezone: Annotated[str, AfterValidator(_known_zone)] = ""
    """Of the business, as an IANA name; empty is this computer's. A contact's own is its field ``timezone``."""
    late_after_hours: float = Field(default=12, gt=0, le=8760)
    """A scheduled campaign that is later than this asks instead of beginning, unless it says otherwise itself."""
    pause_at_bounce_percent: float = Field(default=5, gt=0, le=100)
    """A campaign pauses itself when more than this share of its last 100 messages came back (at least five did)."""
    pause_at_complaint_percent: float = Field(default=0.1, gt=0, le=100)
    """The same for people who report it as spam, of all that was sent (at least two did)."""
    pause_after_refusals: int = Field(default=3, ge=1, le=100)
    """The same for refusals in a row of what is said, or of who says it."""
    frequency: FrequencyCap | None = None
    """Left out: whatever the campaigns say."""
    domains: dict[str, Limits] = Field(default_factory=dict)
    """Receiving domain -> how many messages may go there; ``*`` is each other one."""

    @field_validator("domains")
    @classmethod
    def _as_addresses_have_them(cls, domains: dict[str, Limits]) -> dict[str, Limits]:
        """In lower case and ASCII, as the ledger has them (IDNA)."""
        named = {}
        for name, limits in domains.items():
            try:
                domain = name if name == "*" else name.strip().lower().encode("idna").decode("ascii")
            except UnicodeError:
                domain = ""
            if not domain or "@" in domain or " " in domain:
                raise ValueError("a domain is written like gmail.com, and * is each other one")
            named[domain] = limits
        return named
