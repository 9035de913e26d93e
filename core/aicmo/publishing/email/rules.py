"""What the configuration says of every message: its links, and who signs it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aicmo.publishing.email.dkim import Signer
from aicmo.publishing.email.links import LinkRules
from aicmo.secrets import SecretSource
from aicmo.store.campaign_options import CampaignOptions

if TYPE_CHECKING:
    from aicmo.config import Config


@dataclass(frozen=True, slots=True)
class MessageRules:
    """The same for all campaigns; nothing set is a message as it is, unsigned."""

    links: LinkRules = field(default_factory=LinkRules)
    signer: Signer | None = None

    def for_campaign(self, options: CampaignOptions) -> MessageRules:
        """As the campaign wants them, where it says otherwise."""
        if options.utm is None:
            return self
        return replace(self, links=replace(self.links, adds_utm=options.utm))


PLAIN_RULES = MessageRules()
"""What holds where nothing is configured."""


def message_rules(config: Config) -> MessageRules:
    """Those of ``[links]`` and ``[dkim]``. No key is read before something is to be signed."""
    from aicmo.config import Utm

    links, dkim = config.links, config.dkim
    said = (links.utm or Utm()).model_dump(exclude_none=True)
    utm = {f"utm_{name}": value for name, value in said.items()}
    signer = None
    if dkim.domain:
        key = SecretSource(
            "dkim",
            env=dkim.private_key_env,
            command=dkim.private_key_cmd,
            file=dkim.private_key_file,
            what="private key",
            key="private_key",
            table="dkim",
            whole=True,
        )
        signer = Signer(dkim.domain, dkim.selector, key)
    adds_utm = links.utm is not None
    return MessageRules(LinkRules(links.unsubscribe_url, links.unsubscribe_email, utm, adds_utm), signer)
