"""The token that stands for one delivery in its Message-ID and its ways to unsubscribe.

It is the same for one delivery for ever, so that a resend carries the same Message-ID; and nobody can make one without
this database's key, so that an unsubscribe or a bounce which names it is believed without asking who sent it. It holds
numbers and a seal, nothing about the person.
"""

from __future__ import annotations

import hashlib
import hmac
import re

from aicmo.errors import InvalidInput
from aicmo.store.meta import Identity

_TOKEN = re.compile(r"([0-9]{1,19})\.([0-9]{1,19})\.[0-9a-f]{20}")


class ForgedToken(InvalidInput):
    """A token that this database did not give out."""

    code = "forged_token"


def delivery_token(identity: Identity, campaign_id: int, delivery_id: int) -> str:
    """``campaign.delivery.seal``, the seal a keyed hash of 80 bits over both numbers and the database they are of."""
    seal = hashlib.blake2b(
        identity.instance + b"%d.%d" % (campaign_id, delivery_id), key=identity.secret, digest_size=10
    ).hexdigest()
    return f"{campaign_id}.{delivery_id}.{seal}"


def message_id_of(token: str, domain: str) -> str:
    """The Message-ID, with its angle brackets, of the delivery with that token; ``domain`` is its sender's."""
    return f"<{token}@{domain}>"


def read_token(identity: Identity, token: str) -> tuple[int, int]:
    """The campaign and the delivery that ``token`` stands for. Raises ``ForgedToken`` for any that is not ours.

    Mail programs change the case of an address, so upper case is read as lower. The seal is compared in constant time.
    """
    token = token.lower()
    read = _TOKEN.fullmatch(token)
    if read is not None:
        campaign_id, delivery_id = int(read[1]), int(read[2])
        if hmac.compare_digest(delivery_token(identity, campaign_id, delivery_id), token):
            return campaign_id, delivery_id
    raise ForgedToken("That token was not given out by this database.")
