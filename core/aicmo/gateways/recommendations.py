"""What to do about it: a table from cause to one action.

A recommendation is looked up, never composed: the same cause gives the same advice on the screen, on the command line
and in a monitoring system, and adding a cause is one line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

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
    advice: str
    """The one thing to do, as a sentence in which ``{until}`` stands for a time."""
    detail: str = ""
    """What was said or counted, such as the provider's own words; may be empty."""
    until: datetime | None = None
    """When it is tried again, or a person's word about it ends."""
    samples: tuple[str, ...] = ()
    """Records that it is about, shortened; at most three."""
    capability: str = ""
    """Which chain it is about; empty when it is about the provider wherever it serves."""

    @property
    def action(self) -> str:
        """The one thing to do, with its time in UTC: for a program, a log, another machine."""
        return self.action_at(lambda until: f"{until:%Y-%m-%d %H:%M} UTC")

    def action_at(self, when: Callable[[datetime], str]) -> str:
        """The same, with its time as ``when`` says it: for a person, who thinks in their own zone."""
        if self.until is None:
            return self.advice.replace("at {until}", "by itself").replace("before {until}", "before it ends")
        return self.advice.replace("{until}", when(self.until))

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
    "sign_in": Advice(
        CRITICAL, "Sign in again, and put the new refresh token where oauth of [providers.{provider}] says it is."
    ),
    "oauth_client": Advice(CRITICAL, "Correct the client in oauth of [providers.{provider}]: its id, secret or scope."),
    "config": Advice(CRITICAL, "Correct [providers.{provider}] in the configuration; aicmo config path says where."),
    "unsupported": Advice(WARNING, "Correct kind in [providers.{provider}]; docs/providers.md lists what there is."),
    "quota": Advice(WARNING, "Buy more from {provider}, or wait: it is tried again at {until}."),
    "reputation": Advice(
        CRITICAL,
        "Pause what is being sent (aicmo campaign pause), find out what the servers object to, then: "
        "aicmo health --reset {provider}",
    ),
    "rate_limited": Advice(WARNING, "Lower limits in [providers.{provider}]; it is used again at {until}."),
    "transient": Advice(WARNING, "Nothing now: it is tried again at {until}. If it stays away, see its status page."),
    "slow": Advice(WARNING, "Nothing now: it is tried again at {until}. If it stays slow, see its status page."),
    "flapping": Advice(WARNING, "Nothing now: it comes and goes, and is held back until it is tried again at {until}."),
    "disabled": Advice(INFO, "To use it before {until}: aicmo health --reset {provider}"),
    "forced": Advice(INFO, "To let its health decide again before {until}: aicmo health --reset {provider}"),
    # what is about to close one
    "quota_low": Advice(WARNING, "Buy more from {provider} before it is used up."),
    "budget_low": Advice(WARNING, "Raise monthly_credits in [providers.{provider}], or wait for the 1st."),
    "input_repeated": Advice(
        WARNING, "Correct these records, or what is made of them: {provider} refuses them as sent."
    ),
    "rate_told": Advice(INFO, "Set limits in [providers.{provider}] to what it allows, or ask it for more."),
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
    cause: str,
    *,
    provider: str = "",
    capability: str = "",
    until: datetime | None = None,
    detail: str = "",
    action: str = "",
    samples: tuple[str, ...] = (),
) -> Recommendation:
    """The advice on ``cause``. ``action`` stands in for the table's where an error brought its own. Raises ``KeyError``
    for a cause that is not in the table."""
    row = ADVICE[cause]
    advice = action or row.action.format(provider=provider, capability=capability, until="{until}")
    return Recommendation(row.severity, provider, cause, advice, detail, until, samples, capability)
