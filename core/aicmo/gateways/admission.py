"""The answer to "may I call it now?", and how a closed door is explained."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aicmo.provider_state import ProviderState

_SAID = {
    "transient": "left alone after failures",
    "rate_limited": "left alone, as it asked",
    "quota": "out of its allowance",
    "auth": "blocked, because it refuses our password or key",
    "reputation": "blocked, because it refuses what is sent",
    "slow": "left alone, because it was slow",
    "flapping": "left alone, because it comes and goes",
}
"""Why it is closed -> what it is, for a person."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to "may I call it now?". Hand it back to ``record`` or ``release``."""

    provider: str
    allowed: bool
    gen: int = 0
    settled: bool = False
    """In service and without a failure pending: a success tells nothing that must be written at once."""
    probe: bool = False
    """This call is the only one allowed now."""
    first: bool = False
    """It is a probe of a provider that has not answered since it was closed: nobody should have to wait for it."""
    forced: bool = False
    """It is closed, and called all the same: a failure counts and decides nothing."""
    until: datetime | None = None
    """When closed: not before then (UTC)."""
    reason: str = ""
    """When closed: why, in plain words."""
    cause: str = ""
    """When closed: the outcome class, or ``slow``, ``flapping``, ``reputation``, ``disabled``, ``network``."""


def closed(state: ProviderState, until: datetime, reason: str = "", cause: str = "") -> Admission:
    """Not before ``until``; by what its state says, unless a ``reason`` and ``cause`` are given."""
    why = " ".join(part for part in (state.last_error_code, state.last_error_text) if part)
    said = _SAID.get(state.open_reason, f"{state.state} after {state.open_reason}")
    reason = reason or said + (f" ({why})" if why else "")
    return Admission(state.name, False, state.gen, until=until, reason=reason, cause=cause or state.open_reason)


def no_network(state: ProviderState, until: datetime) -> Admission:
    """Not before ``until``, and it is not its fault."""
    reason = "out of reach: this machine seems to have no network"
    return Admission(state.name, False, state.gen, until=until, reason=reason, cause="network")
