"""The outside services we can speak to: one module each, and one line in this table.

A provider class has ``kind`` and ``capabilities``, a pydantic model ``Settings`` (``extra="forbid"``) that validates
its block of the configuration, and is built as ``Class(name, settings, secret=...)``. It classifies its own answers
into ``Attempt`` and retries nothing. It knows no other provider.
"""

from __future__ import annotations

from typing import Any, Protocol

from aicmo.errors import ConfigInvalid
from aicmo.text import shown

PROVIDERS: dict[str, str] = {
    "smtp": "aicmo.gateways.providers.smtp:SmtpProvider",
    "imap": "aicmo.gateways.providers.imap:ImapProvider",
    "mx": "aicmo.gateways.providers.mx:MxProvider",
    "apollo": "aicmo.gateways.providers.apollo:ApolloProvider",
    "dropcontact": "aicmo.gateways.providers.dropcontact:DropcontactProvider",
    "airtable": "aicmo.gateways.providers.airtable:AirtableProvider",
    "webhook": "aicmo.gateways.providers.webhook:WebhookProvider",
}
"""kind -> ``"module:Class"``; nothing is imported before it is asked for."""


class Provider(Protocol):
    """What the chain and the registry need to know of any provider."""

    @property
    def name(self) -> str:
        """The configured name, such as ``smtp-main``."""
        ...

    def fingerprint(self) -> str:
        """A short hash of address and credential that changes when either does and betrays neither.

        May block (a password command); called only for a provider whose credential was refused. Raises ``AuthNeeded``
        when the credential cannot be found.
        """
        ...


def load(kind: str) -> Any:
    """The provider class of ``kind``. Raises ``ConfigInvalid``, naming the kinds there are, when there is none."""
    from importlib import import_module

    if kind not in PROVIDERS:
        raise ConfigInvalid(
            f"There is no provider of kind {shown(kind)}.", hint=f"Known kinds: {', '.join(PROVIDERS)}."
        )
    module, _, name = PROVIDERS[kind].partition(":")
    return getattr(import_module(module), name)
