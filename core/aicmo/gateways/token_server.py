"""One request to an OAuth token server (RFC 6749 6), and what its answer means.

Its answers are secret, so nothing of one is shown but an error's code and description, with every secret masked. A
server is only believed to end a grant when it says so in a code made for that: a proxy's page, a redirect or a bad day
never takes a person's sign-in away.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlencode, urlsplit

from pydantic import BeforeValidator, Field

from aicmo.clock import Clock
from aicmo.gateways.attempt import Answer, Attempt, Outcome
from aicmo.gateways.http import HttpProvider
from aicmo.gateways.http_answer import Document, Effect, Rule, Text
from aicmo.gateways.http_settings import HttpSettings
from aicmo.token_state import CLIENT, SIGN_IN, TRANSIENT

if TYPE_CHECKING:
    import httpx

ASSUMED_LIFE_S, LONGEST_LIFE_S = 3600.0, 366 * 86_400.0
"""Of a token whose server does not say (RFC 6749 5.1 only recommends it), and the most that is believed."""

_ENDS_GRANT = "invalid_grant|interaction_required|consent_required|login_required"
"""RFC 6749 5.2, and Microsoft's words for the same (Entra ID, authentication error codes)."""
_WRONG_CLIENT = "invalid_client|unauthorized_client|unsupported_grant_type|invalid_scope|invalid_request"
_RULES = (
    Rule("2..|400|401|403", rf"^({_ENDS_GRANT}|{_WRONG_CLIENT})\b", Outcome.AUTH, "{label} gives no token:"),
    Rule("2..", "^ ", Outcome.OK, ""),  # no error is named
    Rule("429", "", Outcome.TRANSIENT, "{label} was asked too often."),
    Rule("...", "", Outcome.TRANSIENT, "{label} gave no token."),
)


def _life_s(value: object) -> float:
    """``expires_in``, also where it comes as a string."""
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    return min(seconds, LONGEST_LIFE_S) if seconds > 0 else ASSUMED_LIFE_S


def _token_or_nothing(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value) else ""


class Granted(Document):
    """What a server gives (RFC 6749 5.1)."""

    access_token: str = Field(min_length=1, pattern=r"^[\x21-\x7e]+$", repr=False)
    refresh_token: Annotated[str, BeforeValidator(_token_or_nothing)] = Field(default="", repr=False)
    """Empty when none was given, or what was given is none."""
    life_s: Annotated[float, BeforeValidator(_life_s)] = Field(default=ASSUMED_LIFE_S, alias="expires_in")
    """Seconds from the request on."""


class _Refusal(Document):
    error: Text = ""
    error_description: Text = ""


class TokenServer(HttpProvider[HttpSettings]):
    """One server; its ``label`` is its host. ``close`` it once."""

    kind: ClassVar[str] = "oauth"
    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        url: str,
        timeout_s: float,
        *,
        ca_file: Path | None,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self.label = urlsplit(url).hostname or url  # type: ignore[misc]  # each has its own
        super().__init__(
            self.label, HttpSettings(timeout_seconds=timeout_s, ca_file=ca_file), clock=clock, transport=transport
        )

    @property
    def address(self) -> str:
        return self._url

    @property
    def wants_key(self) -> bool:
        return False  # what it is shown stands in the form

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        return {}

    def words(self, document: Any) -> tuple[str, str]:
        refusal = _Refusal.model_validate(document)
        return refusal.error, refusal.error_description

    async def refresh(self, client_id: str, client_secret: str, refresh_token: str, scope: str) -> Answer[Granted]:
        """Show the refresh token. ``Effect.ONCE``: it may be spent even when no answer comes."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
        if client_secret:
            form["client_secret"] = client_secret
        if scope:
            form["scope"] = scope
        for secret in (refresh_token, client_secret):
            self._keep_secret(secret)
        answer = await self.exchange(
            "POST",
            "",
            effect=Effect.ONCE,
            content=urlencode(form).encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
            rules=_RULES,
        )
        if answer.value is None:
            return Answer(answer.attempt)
        try:
            return Answer(answer.attempt, Granted.model_validate(answer.value.document))
        except ValueError:  # pydantic's ValidationError among them; it carries what was given
            sentence = "{label} answered without a token; a proxy or a wrong address may speak in its place."
            return Answer(self._unreadable(sentence, Effect.ONCE, answer.attempt.code, answer.attempt.latency_s))

    def _masked(self, body: bytes) -> bytes:
        return body  # a server that does not rotate gives back the very token it was shown


def trouble_of(attempt: Attempt) -> str:
    """What an attempt that gave nothing means: ``sign_in``, ``oauth_client`` or ``transient``."""
    said = attempt.code.partition(" ")[2]
    if attempt.outcome is not Outcome.AUTH or attempt.phase != "reply":
        return TRANSIENT
    return SIGN_IN if re.fullmatch(_ENDS_GRANT, said) else CLIENT
