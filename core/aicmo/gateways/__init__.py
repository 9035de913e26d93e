"""Phase 0: every outside service is reached through a chain of providers.

::

    ProviderChain ── asks ──> HealthRegistry      who may be called now; state shared by all processes (HealthStore)
         │ calls, in order
         v
    a provider of ``providers`` ── yields ──> Attempt      what it came to; above all: did the side effect happen?

A chain passes work on only while that cannot do anything twice. A service that
fails is an ``Attempt``, never an exception.
"""

from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome, Quota
from aicmo.gateways.chain import ChainAnswer, ChainResult, EachAnswer, ItemAnswer, ProviderChain
from aicmo.gateways.health import Admission, HealthRegistry, HealthStore, MemoryHealthStore
from aicmo.gateways.mail import BeforeBody, NotNow, OutgoingMail
from aicmo.gateways.providers import PROVIDERS, Provider, load

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
