"""A token server (RFC 6749 6) that rotates refresh tokens as the strict ones do; the mail servers take what it gives.

Each refresh token works once. One that is used again has been stolen or lost, and nobody can tell by whom: so the whole
grant ends (RFC 9700 4.14.2), access tokens included. The account says how long an access token lives and what an
answer says of the next refresh token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, USER
from aicmo.sandbox.providers import Provider, Refusal, note


@dataclass(frozen=True, slots=True)
class Account:
    """What a test may set; the defaults are a server that behaves."""

    life_s: float = 3600.0
    """Of the access tokens given from now on."""
    refresh: str = "rotated"
    """The refresh token in an answer: ``rotated``, ``same``, ``missing``, ``empty`` or ``null``. All but the first
    leave the one that was shown in force."""
    revoked: bool = False
    """The person took the sign-in back: no refresh token works, nor any access token."""
    disabled: bool = False
    """The client is not known any more (``invalid_client``)."""


class OAuth(Provider):
    path = "/token"

    def __init__(self, _seed: int, clock: Clock) -> None:
        self.account = Account()
        self._clock = clock
        self._current = REFRESH_TOKEN
        self._spent: set[str] = set()
        self._ended = False
        self._access: dict[str, float] = {}
        self._given = 0

    def routes(self) -> Sequence[Route]:
        return [Route("/token", self._refresh, methods=["POST"])]

    def takes(self, user: str, token: str) -> bool:
        """Whether a mail server lets ``user`` in with this access token."""
        alive = self._clock.monotonic() < self._access.get(token, float("-inf"))
        return user == USER and alive and not (self._ended or self.account.revoked)

    async def _refresh(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET) or self.account.disabled:
            raise _refusal(401, "invalid_client", "The OAuth client was not found.")
        if form.get("grant_type") != "refresh_token":
            raise _refusal(400, "unsupported_grant_type", "Only refresh_token is known here.")
        shown = form.get("refresh_token", "")
        if shown in self._spent:
            self._ended = True
        if shown != self._current or self._ended or self.account.revoked:
            raise _refusal(400, "invalid_grant", f"Token has been expired or revoked: {shown}")
        self._given += 1
        access_token = f"access-{self._given}-of-the-sandbox"
        self._access[access_token] = self._clock.monotonic() + self.account.life_s
        note(request, "refreshed")
        answer: dict[str, object] = {"access_token": access_token, "token_type": "Bearer"}
        return JSONResponse({**answer, "expires_in": self.account.life_s, **self._next(shown)})

    def _next(self, shown: str) -> dict[str, object]:
        if self.account.refresh != "rotated":
            answers: dict[str, dict[str, object]] = {
                "same": {"refresh_token": shown},
                "empty": {"refresh_token": ""},
                "null": {"refresh_token": None},
            }
            return answers.get(self.account.refresh, {})
        self._spent.add(shown)
        self._current = f"{REFRESH_TOKEN}-{self._given}"
        return {"refresh_token": self._current}


def _refusal(status: int, error: str, description: str) -> Refusal:
    return Refusal(status, {"error": error, "error_description": description})
