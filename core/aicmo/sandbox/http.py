"""The HTTP servers: a provider each, behind faults and a log.

uvicorn speaks the protocol, one of ``_PROVIDERS`` answers. A request is first read to its end, then a fault at
``request`` may come before it is handled; its answer is complete and its line in the log before any of it leaves, and
a fault at ``response`` may take its place.

This module imports uvicorn and starlette (extra ``demo``): only the sandbox's own process imports it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from aicmo.clock import Clock
from aicmo.sandbox.airtable import Airtable
from aicmo.sandbox.apollo import Apollo
from aicmo.sandbox.dropcontact import Dropcontact
from aicmo.sandbox.faults import Fault
from aicmo.sandbox.http_log import Handled, HttpLog
from aicmo.sandbox.listening import Server, reset_connection
from aicmo.sandbox.oauth import OAuth
from aicmo.sandbox.providers import Provider, adjusted
from aicmo.sandbox.site import Site
from aicmo.sandbox.webhook import Webhook

_PROVIDERS: Mapping[str, Callable[[int, Clock], Provider]] = {
    "apollo": Apollo,
    "dropcontact": Dropcontact,
    "airtable": Airtable,
    "webhook": Webhook,
    "oauth": OAuth,
    "site": Site,
}
_OPEN_TO_ANYBODY = ("webhook", "site")
_MEGABYTE = 1024 * 1024
_HTML = b"<!DOCTYPE html><html><head><title>Just a moment</title></head><body><h1>Back soon!</h1></body></html>"
_KEEP_ALIVE_S = 24 * 3600  # A server of the sandbox never gives up first.
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")

_Receive = Callable[[], Awaitable[Any]]
_Send = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    noted: Mapping[str, Any]
    """What the provider told the log."""


class HttpServer(Server):
    """One provider on its port."""

    def __init__(self, name: str, seed: int, log: HttpLog, clock: Clock) -> None:
        super().__init__(name, clock)
        # uvicorn reports what comes of a lost connection as an error of the app; the app's own errors are told below.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self.log = log
        self.config = Config(
            _no_app,
            interface="asgi3",
            http=H11Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
        )
        self.config.load()
        self.state = ServerState()
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """The provider's data as it is at the start."""
        self._provider = _PROVIDERS[self.name](self._seed, self.clock)
        self._app = self._provider.app()

    @property
    def path(self) -> str:
        """What the provider's base address ends in."""
        return self._provider.path

    def takes_token(self, user: str, token: str) -> bool:
        """Whether it gave ``token``, and ``user`` may still show it to the mail servers. Only the token server does."""
        return isinstance(self._provider, OAuth) and self._provider.takes(user, token)

    def set_account(self, settings: Mapping[str, object]) -> None:
        """Change some of what the user has there. Raises ``InvalidInput``."""
        self._provider.account = adjusted(self._provider.account, settings)

    def protocol(self) -> asyncio.BaseProtocol:
        return _Connection(self)

    async def serve(self, transport: asyncio.Transport, scope: Any, receive: _Receive, send: _Send) -> None:
        """Handle one request, whatever comes of it."""
        body = await _whole_body(receive)
        if body is None:
            return
        faults = []
        if fault := self.pick("request", scope["path"]):
            faults.append(f"request {fault.action}")
            if fault.action != "slow":
                self._record(scope, body, None, faults)
                await self._happen(fault, None, transport, receive, send)
                return
            await self.clock.sleep(fault.seconds)
        answer = await self._ask(scope, body)
        if fault := self.pick("response", scope["path"]):
            faults.append(f"response {fault.action}")
        self._record(scope, body, answer, faults)
        if fault and fault.action != "slow":
            await self._happen(fault, answer, transport, receive, send)
            return
        if fault:
            await self.clock.sleep(fault.seconds)
        await _say(send, answer.status, answer.headers, [answer.body])

    async def _ask(self, scope: Any, body: bytes) -> _Answer:
        """The provider's own answer."""
        status, headers, parts = 500, (), []
        state: dict[str, Any] = {}

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], tuple(message["headers"])
            else:
                parts.append(message.get("body", b""))

        try:
            await self._app({**scope, "state": state}, receive, send)
        except Exception as error:  # a fault of the sandbox must not take its other servers down
            logging.getLogger(__name__).error("%s: a request failed", self.name, exc_info=error)
        return _Answer(status, headers, b"".join(parts), state.get("noted", {}))

    def _record(self, scope: Any, body: bytes, answer: _Answer | None, faults: list[str]) -> None:
        posted: dict[str, Any] = {}
        if self.name in _OPEN_TO_ANYBODY:
            sent = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
            kept = {name: value for name, value in sent if name not in _SECRET_HEADERS}
            posted = {"body": body.decode("utf-8", "replace"), "headers": kept}
        self.log.add(
            Handled(
                server=self.name,
                method=scope["method"],
                path=scope["path"],
                at=self.clock.now(),
                status=answer.status if answer else 0,
                fault=", ".join(faults),
                **(answer.noted if answer else {}),
                **posted,
            )
        )

    async def _happen(
        self, fault: Fault, answer: _Answer | None, transport: asyncio.Transport, receive: _Receive, send: _Send
    ) -> None:
        match fault.action:
            case "reply":
                headers = {"content-type": "application/json", **{k.lower(): v for k, v in fault.headers.items()}}
                encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
                await _say(send, fault.status, encoded, [fault.body.encode()])
            case "rubbish":
                await _say(send, 200, [(b"content-type", b"application/json")], [_HTML])
            case "huge":
                await _say(send, 200, [(b"content-type", b"application/json")], _huge(fault.megabytes), known=False)
            case "cut":
                assert answer is not None
                sent = answer.body[: min(fault.body_bytes, max(0, len(answer.body) - 1))]
                await _say(send, answer.status, answer.headers, [sent], finish=False)
                transport.close()
                await _until_gone(receive)
            case "drop":
                reset_connection(transport)
                await _until_gone(receive)
            case "hang":
                await _until_gone(receive)


class _Connection(H11Protocol):
    """One connection, with what the script does to it before it says a word."""

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server.config, server.state, {})
        self.app = self._serve
        self._server = server
        self._peer_port = 0
        self._held: bytearray | None = None
        """What came in while the connection is slow or hangs; None: it is neither."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._peer_port = transport.get_extra_info("peername")[1]
        self._server.connections += 1
        self._server.peers.add(self._peer_port)
        fault = self._server.pick("connect")
        if fault and fault.action == "drop":
            reset_connection(transport)
        elif fault:
            self._held = bytearray()
            if fault.action == "slow":
                self._waiting = self.loop.create_task(self._go_on_after(fault.seconds))

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.peers.discard(self._peer_port)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._held is None:
            super().data_received(data)
        else:
            self._held += data

    async def _go_on_after(self, seconds: float) -> None:
        await self._server.clock.sleep(seconds)
        held, self._held = self._held, None
        if held and not self.transport.is_closing():
            super().data_received(bytes(held))

    async def _serve(self, scope: Any, receive: _Receive, send: _Send) -> None:
        await self._server.serve(self.transport, scope, receive, send)


async def _no_app(_scope: Any, _receive: _Receive, _send: _Send) -> None:
    raise AssertionError("each connection has its own")


async def _whole_body(receive: _Receive) -> bytes | None:
    """The body of a request; None when the client left before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _until_gone(receive: _Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _say(
    send: _Send,
    status: int,
    headers: Any,
    parts: Any,
    *,
    known: bool = True,
    finish: bool = True,
) -> None:
    """Send an answer; without ``known`` it has no length, without ``finish`` it is left in the air."""
    headers = list(headers)
    if known and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(sum(map(len, parts))).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    if finish:
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _huge(megabytes: int) -> Iterator[bytes]:
    """A JSON document of exactly so many MiB."""
    yield json.dumps({"person": "x"}).encode()[:-2]
    piece = b"x" * _MEGABYTE
    yield piece[: _MEGABYTE - 15]
    yield from (piece for _ in range(megabytes - 1))
    yield b'"}'
