"""A place that takes whatever is posted to it, at any path; what came is in the HTTP log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.sandbox.providers import Provider, note


@dataclass(frozen=True, slots=True)
class Account:
    """It asks nobody who they are."""


class Webhook(Provider):
    path = "/hook"

    def __init__(self, _seed: int, _clock: Clock) -> None:
        self.account = Account()

    def routes(self) -> Sequence[Route]:
        return [Route("/{path:path}", self._take, methods=["POST"])]

    async def _take(self, request: Request) -> Response:
        note(request, "posted")
        return JSONResponse({"ok": True})
