"""The sender's web site: every page is there, every ``.gif`` is a dot, and a form may be posted anywhere.

Who asked for what is in the HTTP log, with the headers. It tells people from machines no better than a real one can.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.sandbox.providers import Provider, note

_DOT = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


@dataclass(frozen=True, slots=True)
class Account:
    """It asks nobody who they are."""


class Site(Provider):
    path = ""

    def __init__(self, _seed: int, _clock: Clock) -> None:
        self.account = Account()

    def routes(self) -> Sequence[Route]:
        return [Route("/{path:path}", self._show, methods=["GET"]), Route("/{path:path}", self._take, methods=["POST"])]

    async def _show(self, request: Request) -> Response:
        if request.url.path.endswith(".gif"):
            return Response(_DOT, media_type="image/gif")
        return HTMLResponse(
            "<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Welcome</h1></body></html>"
        )

    async def _take(self, request: Request) -> Response:
        note(request, "posted")
        return HTMLResponse("<!DOCTYPE html><html><head><title>Done</title></head><body><h1>Done</h1></body></html>")
