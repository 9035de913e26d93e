"""A web address of the person's own that is told what happened: one signed POST of JSON per event.

The request is signed as the Standard Webhooks specification says (``webhook-id``, ``webhook-timestamp``,
``webhook-signature``), and carries the event's key as ``Idempotency-Key`` as well, so that a receiver can tell a repeat
from an event. We never rely on its doing so: a lost answer is ambiguous. The address may hold a token, so it is treated
as a secret.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from typing import ClassVar, Literal
from urllib.parse import urlsplit

from aicmo.errors import AuthNeeded
from aicmo.gateways.attempt import Attempt, Outcome
from aicmo.gateways.http import HttpProvider
from aicmo.gateways.http_answer import Effect, Rule
from aicmo.gateways.http_settings import HttpSettings, WebAddress


class WebhookSettings(HttpSettings):
    """A block ``[providers.NAME]`` of kind ``webhook``. ``api_key_env`` and its like name the signing secret."""

    kind: Literal["webhook"] = "webhook"
    url: WebAddress
    signed: bool = True
    """False sends without a signature and asks for no secret."""

    @property
    def host(self) -> str:
        """Where it lives."""
        return urlsplit(self.url).hostname or ""


RULES: tuple[Rule, ...] = (
    Rule("401|403|407", "", Outcome.AUTH, "{label} does not accept us; check its secret and its url."),
    Rule("404|410", "", Outcome.AUTH, "{label} is no longer there; correct its url."),
    Rule("405", "", Outcome.AUTH, "{label} takes no POST; correct its url."),
)
REACHABLE: tuple[Rule, ...] = (
    Rule("404|410", "", Outcome.AUTH, "{label} is no longer there; correct its url."),
    Rule("[234]..", "", Outcome.OK, ""),
)
"""What an answer to ``OPTIONS`` tells: whatever it is, somebody is there."""


class WebhookProvider(HttpProvider[WebhookSettings]):
    """One address that takes events."""

    kind: ClassVar[str] = "webhook"
    capabilities: ClassVar[frozenset[str]] = frozenset({"webhook_dispatch"})
    Settings: ClassVar[type[WebhookSettings]] = WebhookSettings
    label: ClassVar[str] = "The webhook"
    rules: ClassVar[tuple[Rule, ...]] = RULES

    @property
    def wants_key(self) -> bool:
        return self.settings.signed

    @property
    def address(self) -> str:
        return self.settings.url

    @property
    def private(self) -> tuple[str, ...]:
        # A token is in the path or the query; both may come back in a page that says "not found".
        parts = urlsplit(self.settings.url)
        return parts.path, parts.query

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        if "webhook-id" not in headers:
            return {}
        return {"webhook-signature": sign(key, headers["webhook-id"], headers["webhook-timestamp"], content)}

    async def check(self) -> Attempt:
        """Whether anybody is at the address. Asks with OPTIONS, which does nothing, so the secret is not tried."""
        return (await self.exchange("OPTIONS", "", effect=Effect.NONE, rules=REACHABLE)).attempt

    async def post(self, payload: Mapping[str, object], *, key: str) -> Attempt:
        """Tell ``payload``, which JSON must be able to hold.

        ``key`` names the event, and only it: 1 to 255 visible ASCII characters, by which the receiver tells a repeat.
        """
        if not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
            raise ValueError("a key of 1 to 255 visible ASCII characters is needed")
        content = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        headers = {
            "content-type": "application/json",
            "idempotency-key": key,
            "webhook-id": key,
            "webhook-timestamp": str(int(self._clock.now().timestamp())),
        }
        sent = await self.exchange(
            "POST", "", effect=Effect.ONCE, content=content.encode("utf-8", "replace"), headers=headers
        )
        return sent.attempt


def sign(secret: str, event: str, timestamp: str, content: bytes) -> str:
    """The value of ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 over id, time and body.

    A secret that begins with ``whsec_`` is base64 after that, as the specification wants it; others are used as is.
    """
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error as error:
            raise AuthNeeded("The webhook's secret begins with whsec_ and goes on in no base64.") from error
    mac = hmac.digest(key, b"%s.%s.%s" % (event.encode(), timestamp.encode(), content), "sha256")
    return "v1," + base64.b64encode(mac).decode()
