"""AICMO's core: everything but the terminal.

The rooms, from the ground up; each imports only those below it::

    workspace    store and services, opened once, closed once
    services     every configured provider with its chains, limits and checks; health.db plugged in
    analytics    what worked: counts, rates, intervals
    publishing   content, campaigns, the ledger's sender
    crm          people: import, search, export
    gateways     outside services behind chains with health      store   all SQL
    config       one TOML file, the environment, the defaults
    errors text clock paths secrets log                          the ground

``demo`` stands on top of all, ``sandbox`` (the outside world on loopback) beside them. A library user starts with
``open_workspace``; names here are resolved when they are first used, so that importing ``aicmo`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aicmo.config import load_config
    from aicmo.crm import CRMRepository
    from aicmo.gateways import ProviderChain
    from aicmo.paths import find_paths
    from aicmo.publishing import PublishingPipeline
    from aicmo.workspace import open_workspace

__all__ = ["CRMRepository", "ProviderChain", "PublishingPipeline", "find_paths", "load_config", "open_workspace"]

_HOMES = {
    "CRMRepository": "aicmo.crm",
    "ProviderChain": "aicmo.gateways",
    "PublishingPipeline": "aicmo.publishing",
    "find_paths": "aicmo.paths",
    "load_config": "aicmo.config",
    "open_workspace": "aicmo.workspace",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
