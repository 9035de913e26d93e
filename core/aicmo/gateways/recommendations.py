"""What to do about it: a table from cause to one action.

A recommendation is looked up, never composed: the same cause gives the same advice on the screen, on the command line
and in a monitoring system, and adding a cause is one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

CRITICAL, WARNING, INFO = "critical", "warning", "info"
"""A person is needed now; soon; or could make things better."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    severity: str
    """``critical``, ``warning`` or ``info``."""
    provider: str
    """Whom it is about; empty when it is about no single provider."""
    cause: str
    """A key of ``ADVICE``: scripts may rely on the word."""
    action: str
    """The one thing to do, as a sentence."""
    detail: str = ""
    """What was said or counted, such as the provider's own words; may be empty."""

    @property
    def told(self) -> str:
        """Whom it is about and what is the matter, for a person."""
        return ": ".join(part for part in (self.provider, self.detail or self.cause) if part)


@dataclass(frozen=True, slots=True)
class Advice:
    severity: str
    action: str
    """May name ``{provider}``, ``{capability}`` and ``{until}``."""


ADVICE: Mapping[str, Advice] = {
    # why a provider is closed
    "auth": Advice(CRITICAL, "Set the right key or password in [providers.{provider}]; it is used as soon as it is."),
    "config": Advice(CRITICAL, "Correct [providers.{provider}] in the configuration; aicmo config path says where."),
    "unsupported": Advice(WARNING, "Correct kind in [providers.{provider}]; docs/providers.md lists what there is."),
    "quota": Advice(WARNING, "Buy more from {provider}, or wait: it is tried again {until}."),
    "reputation": Advice(
        CRITICAL,
        "Pause what is being sent (aicmo campaign pause), find out what the servers object to, then: "
        "aicmo health --reset {provider}",
    ),
    "rate_limited": Advice(WARNING, "Lower limits in [providers.{provider}]; it is used again {until}."),
    "transient": Advice(WARNING, "Nothing now: it is tried again {until}. If it stays away, see its status page."),
    "slow": Advice(WARNING, "Nothing now: it is tried again {until}. If it stays slow, see its status page."),
    "flapping": Advice(WARNING, "Nothing now: it comes and goes, and is held back until it is tried again {until}."),
    "disabled": Advice(INFO, "To use it before {until}: aicmo health --reset {provider}"),
    "forced": Advice(INFO, "To let its health decide again before {until}: aicmo health --reset {provider}"),
    # what is about to close one
    "quota_low": Advice(WARNING, "Buy more from {provider} before it is used up."),
    "budget_low": Advice(WARNING, "Raise monthly_credits in [providers.{provider}], or wait for the 1st."),
    "input": Advice(WARNING, "Look at [providers.{provider}]: it says that what we ask makes no sense."),
    # what is not about one
    "unknown": Advice(CRITICAL, "Say what became of them: aicmo campaign resolve {capability} --as sent|failed|resend"),
    "network": Advice(CRITICAL, "Look after this computer's network; everything goes on when it is back."),
    "store": Advice(CRITICAL, "Put the database right: restore a copy, or move it away to begin anew."),
    "clock": Advice(WARNING, "Set this computer's clock: what is stored was written in its future."),
    "stale": Advice(WARNING, "Run aicmo health, from cron if nobody keeps the app open."),
    "no provider": Advice(WARNING, "Name a provider in chains.{capability}; docs/providers.md lists what there is."),
    "no chain": Advice(WARNING, "Begin with: aicmo init"),
    "single": Advice(INFO, "Add a second provider to chains.{capability}, to go on when {provider} fails."),
}


def recommend(
    cause: str, *, provider: str = "", capability: str = "", until: str = "", detail: str = "", action: str = ""
) -> Recommendation:
    """The advice on ``cause``. ``until`` is a time for a person; ``action`` stands in for the table's where an error
    brought its own. Raises ``KeyError`` for a cause that is not in the table."""
    advice = ADVICE[cause]
    filled = advice.action.format(provider=provider, capability=capability, until=until or "by itself")
    return Recommendation(advice.severity, provider, cause, action or filled, detail)
