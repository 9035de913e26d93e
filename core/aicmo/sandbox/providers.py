"""What the HTTP providers of the sandbox have in common: an account that can be changed, and ways to answer.

A provider is a table of routes over data in memory. It says what a request changed with ``note``; the log, the faults
and the socket are the server's. A refusal is raised from wherever it is found.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, TypeVar, get_type_hints

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.errors import InvalidInput
from aicmo.text import shown

AccountType = TypeVar("AccountType")


class Provider(ABC):
    """One provider with its data, from the moment it is made."""

    path: ClassVar[str]
    """What its base address ends in; empty or ``/…`` without a slash at the end."""
    account: Any
    """What the user has there: a frozen dataclass whose fields a test may change."""

    @abstractmethod
    def routes(self) -> Sequence[Route]: ...

    def app(self) -> Starlette:
        """The ASGI app. Refusals are answers; whatever else is raised goes through to the server."""
        return Starlette(routes=list(self.routes()), exception_handlers={Refusal: _answer, 404: self.not_found})

    async def not_found(self, _request: Request, _error: Exception) -> Response:
        """The answer to a path that does not exist."""
        return PlainTextResponse("Not Found", 404)


class Refusal(Exception):
    """An answer other than 2xx; a body of text is sent as ``text/plain``, everything else as JSON."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


async def _answer(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    kind = PlainTextResponse if isinstance(refusal.body, str) else JSONResponse
    return kind(refusal.body, refusal.status, refusal.headers)


def note(request: Request, effect: str, on: Sequence[str] = (), credits: int = 0) -> None:
    """Put into the log what a request changed; see ``Handled``."""
    request.state.noted = {"effect": effect, "on": tuple(on), "credits": credits}


async def json_object(request: Request) -> dict[str, Any] | None:
    """The body as a JSON object, ``{}`` when there is none; None when it is anything else."""
    body = await request.body()
    try:
        value = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def adjusted(account: AccountType, settings: Mapping[str, object]) -> AccountType:
    """``account`` with some fields changed. Raises ``InvalidInput`` for an unknown field or a value of another type."""
    kinds = get_type_hints(type(account))
    known = ", ".join(each.name for each in fields(account))  # type: ignore[arg-type]
    for name, value in settings.items():
        if name not in kinds:
            raise InvalidInput(f"An account has no {shown(name)}.", hint=f"Known: {known}.")
        kind = float | int if kinds[name] is float else kinds[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidInput(f"{name} cannot be {shown(repr(value))}.")
    return replace(account, **settings)  # type: ignore[type-var]


class Window:
    """A fixed window of time that opens with the first request in it and takes ``limit`` of them; None: no limit."""

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._opened = 0.0
        self._used = 0

    @property
    def used(self) -> int:
        """Requests taken in the window that is open now."""
        if self._used and self._clock.monotonic() - self._opened >= self.seconds:
            self._used = 0
        return self._used

    @property
    def shuts_in_s(self) -> float:
        """Seconds until it opens anew; 0 when nothing was taken."""
        return self._opened + self.seconds - self._clock.monotonic() if self.used else 0.0

    def take(self) -> None:
        if not self.used:
            self._opened = self._clock.monotonic()
        self._used += 1
