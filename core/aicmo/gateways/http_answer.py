"""What an answer over HTTP means: whose fault it is, whether it happened, and when to come back.

The same status means different things at different providers: 403 is a missing right at one and a spent allowance at
another, and 200 may be a refusal. So each provider brings a table of ``Rule``, whose first fitting row decides;
``COMMON_RULES`` speak after it. What no row knows is transient for a read and ambiguous for a request that acts.

Sources: RFC 9110 (statuses, Retry-After), RFC 6585 (429), and what the providers document.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict

from aicmo.gateways.attempt import Applied, Outcome
from aicmo.text import one_line

LONGEST_WAIT = timedelta(days=31)
"""A provider that asks for more is not believed."""


class Effect(Enum):
    """What a request does when it arrives; hence what follows when its answer is lost."""

    NONE = "none"
    """It only reads, and costs nothing: nothing happened, try again."""
    REPEATABLE = "repeatable"
    """It writes, and writing twice is writing once: whether it happened is unknown, but it may be repeated."""
    ONCE = "once"
    """It spends credits or acts: ambiguous, never repeated. Goes over a connection of its own, because one that stood
    idle may be dead at the far end, which looks like a lost answer."""


class Rule(NamedTuple):
    """One row of a provider's table: an answer that looks like this means that."""

    status: str
    """A pattern for the whole status code."""
    words: str
    """A pattern found anywhere in the provider's code and message, in any case; empty fits any, and none."""
    outcome: Outcome
    sentence: str
    """For a person: what it means and, where one can act, what to do. ``{label}`` is the provider."""
    wait_s: float = 0.0
    """For how long to stay away when the provider does not say."""
    least_wait_s: float = 0.0
    """For how long to stay away at the least, whatever the provider says."""


COMMON_RULES: tuple[Rule, ...] = (
    Rule("401", "", Outcome.AUTH, "{label} does not accept the key; set the right one."),
    Rule("402", "", Outcome.QUOTA, "{label} wants to be paid; look at your plan there."),
    Rule("403", "", Outcome.AUTH, "{label} does not allow this to the key; look at its rights and your plan."),
    Rule("407", "", Outcome.TRANSIENT, "The proxy on the way to {label} wants to know who we are."),
    Rule("408", "", Outcome.TRANSIENT, "{label} did not get the whole request in time."),
    Rule("429", "", Outcome.RATE_LIMITED, "{label} was asked too often."),
    Rule("400|404|405|406|41[1-7]|422|431", "", Outcome.INPUT, "{label} cannot do anything with the request."),
    Rule("301|307|308", "", Outcome.AUTH, "{label} is at another address; correct the address in the configuration."),
    Rule("5..", "", Outcome.TRANSIENT, "{label} is in trouble."),
)


@dataclass(frozen=True)
class Reply:
    """An answer, with every key masked in its body."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @cached_property
    def document(self) -> object:
        """The JSON in the body, whatever its content type says. Raises ``ValueError`` when it is not JSON."""
        try:
            return json.loads(self.body, parse_constant=_no_number)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return one_line(str(value), limit=500)


Text = Annotated[str, BeforeValidator(_text)]
"""A field of an answer: one plain line of at most 500 characters; empty when it is no text. Never refused: one odd
field must not lose a paid answer."""


class Document(BaseModel):
    """The base of what is read from an answer: what is not asked for is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


DONE = Rule("2..", "", Outcome.OK, "")


def lost(effect: Effect) -> tuple[Outcome, Applied]:
    """What is known when the request may have arrived and no answer says more."""
    return {
        Effect.NONE: (Outcome.TRANSIENT, Applied.NO),
        Effect.REPEATABLE: (Outcome.TRANSIENT, Applied.UNKNOWN),
        Effect.ONCE: (Outcome.AMBIGUOUS, Applied.UNKNOWN),
    }[effect]


def retry_after(value: str, now: datetime) -> datetime | None:
    """The time a ``Retry-After`` header means (RFC 9110 10.2.3: seconds or a date), at most 31 days ahead.

    ``None`` when there is none, or when it is negative, past or no time at all.
    """
    value = value.strip()
    try:
        if value.isascii() and value.isdecimal():
            until = now + timedelta(seconds=min(int(value[:10]), LONGEST_WAIT.total_seconds()))
        else:
            until = parsedate_to_datetime(value)
            until = until.replace(tzinfo=UTC) if until.tzinfo is None else until.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(until, now + LONGEST_WAIT) if until > now else None


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def rule_for(rules: Iterable[Rule], status: int, said: str) -> Rule | None:
    """The first rule that fits, or ``None``. ``said`` is the provider's code and message."""
    for rule in rules:
        if re.fullmatch(rule.status, str(status)) and re.search(rule.words, said, re.IGNORECASE):
            return rule
    return None
