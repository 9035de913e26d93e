"""Phase 0: every outside service is reached through a chain of providers.

::

    ProviderChain ── asks ──> HealthRegistry      who may be called now; state shared by all processes (HealthStore)
         │ calls, in order
         v
    a provider of ``providers`` ── yields ──> Attempt      what it came to; above all: did the side effect happen?

A chain passes work on only while that cannot do anything twice. A service that
fails is an ``Attempt``, never an exception.

Names are resolved when they are first used: who only reads what is known of the providers need not load the chain.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aicmo.gateways.admission import Admission
    from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome, Quota
    from aicmo.gateways.chain import ProviderChain
    from aicmo.gateways.chain_answer import ChainAnswer, ChainResult, EachAnswer, ItemAnswer
    from aicmo.gateways.health import HealthRegistry
    from aicmo.gateways.health_store import HealthStore, MemoryHealthStore
    from aicmo.gateways.mail import BeforeBody, NotNow, OutgoingMail
    from aicmo.gateways.providers import PROVIDERS, Provider, load

_HOMES = {
    "PROVIDERS": "aicmo.gateways.providers",
    "Admission": "aicmo.gateways.admission",
    "Answer": "aicmo.gateways.attempt",
    "Applied": "aicmo.gateways.attempt",
    "Attempt": "aicmo.gateways.attempt",
    "BeforeBody": "aicmo.gateways.mail",
    "ChainAnswer": "aicmo.gateways.chain_answer",
    "ChainResult": "aicmo.gateways.chain_answer",
    "EachAnswer": "aicmo.gateways.chain_answer",
    "HealthRegistry": "aicmo.gateways.health",
    "HealthStore": "aicmo.gateways.health_store",
    "ItemAnswer": "aicmo.gateways.chain_answer",
    "MemoryHealthStore": "aicmo.gateways.health_store",
    "NotNow": "aicmo.gateways.mail",
    "Outcome": "aicmo.gateways.attempt",
    "OutgoingMail": "aicmo.gateways.mail",
    "Provider": "aicmo.gateways.providers",
    "ProviderChain": "aicmo.gateways.chain",
    "Quota": "aicmo.gateways.attempt",
    "load": "aicmo.gateways.providers",
}

__all__ = [
    "PROVIDERS",
    "Admission",
    "Answer",
    "Applied",
    "Attempt",
    "BeforeBody",
    "ChainAnswer",
    "ChainResult",
    "EachAnswer",
    "HealthRegistry",
    "HealthStore",
    "ItemAnswer",
    "MemoryHealthStore",
    "NotNow",
    "Outcome",
    "OutgoingMail",
    "Provider",
    "ProviderChain",
    "Quota",
    "load",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
