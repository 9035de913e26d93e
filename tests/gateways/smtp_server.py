"""A mail server that does what a script says, byte by byte: the outside world of the SMTP adapter's tests.

An answer per phase is a reply line, ``DROP`` (close the connection), ``HANG`` (say nothing), or a list of these, used
up one a time; after the list the server behaves. What it saw is kept in the order in which it happened.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

DROP = "<drop>"
HANG = "<hang>"
Answer = str | list[str]

GOOD = {
    "connect": "220 scripted ready",
    "starttls": "220 go ahead",
    "auth": "235 2.7.0 welcome",
    "mail": "250 2.1.0 ok",
    "rcpt": "250 2.1.5 ok",
    "data": "354 go on",
    "reply": "250 2.0.0 Ok: queued as 4ABC12",
    "rset": "250 2.0.0 ok",
    "quit": "221 2.0.0 bye",
}


@dataclass
class ScriptedServer:
    script: dict[str, Answer] = field(default_factory=dict)
    offers: tuple[str, ...] = ("SIZE 1000000", "8BITMIME", "AUTH PLAIN LOGIN")
    tls: ssl.SSLContext | None = None
    drop_after_body_bytes: int | None = None
    """Close the connection when so much of a body has come."""
    early_answer: str | None = None
    """Sent as soon as the first byte of a body has come, long before its end."""
    port: int = 0
    seen: list[str] = field(default_factory=list)
    """Commands, as they came; ``<body>`` where the first byte of a body came."""
    delivered: list[bytes] = field(default_factory=list)
    """Messages whose final dot came and that were answered 250 (or would have been): as sent, dots still doubled."""
    body_bytes: int = 0
    """Of all bodies, finished or not."""
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to let every ``HANG`` end."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, something_is_so: Callable[[], bool]) -> None:
        """Wait until it is; looked at whenever the server has seen or done something."""
        while not something_is_so():
            self._news.clear()
            await self._news.wait()

    async def saw(self, beginning: str) -> None:
        """Wait for a command that begins so."""
        await self.until(lambda: any(it.startswith(beginning) for it in self.seen))

    def note(self, what: str) -> None:
        self.seen.append(what)
        self._news.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_now -= 1
            self._news.set()
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say("connect", writer)
        while line := (await reader.readline()).decode("utf-8", "replace").rstrip("\r\n"):
            self.note(line)
            verb = line.split(" ", 1)[0].lower()
            if verb in ("ehlo", "helo"):
                offers = (
                    (*self.offers, "STARTTLS") if self.tls and not writer.get_extra_info("sslcontext") else self.offers
                )
                lines = ["scripted", *offers]
                await self._say("ehlo", writer, "\r\n".join(f"250-{it}" for it in lines[:-1]) + f"\r\n250 {lines[-1]}")
            elif verb == "starttls":
                await self._say("starttls", writer)
                await writer.start_tls(self.tls)  # type: ignore[arg-type]
            elif verb == "auth":
                while (await self._say("auth", writer)).startswith("334"):
                    await reader.readline()
            elif verb == "data":
                if await self._say("data", writer) != GOOD["data"]:
                    continue
                await self._body(reader, writer)
            else:
                await self._say(verb, writer, "250 ok")
                if verb == "quit":
                    return

    async def _body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = b""
        while not (body.endswith(b"\r\n.\r\n") or body == b".\r\n"):
            piece = await reader.read(1 if self.drop_after_body_bytes is not None else 65536)
            if not piece:
                raise ConnectionResetError
            if not body:
                self.note("<body>")
                if self.early_answer:
                    writer.write(self.early_answer.encode() + b"\r\n")
                    await writer.drain()
                    await self.released.wait()
            body += piece
            self.body_bytes += len(piece)
            if self.drop_after_body_bytes is not None and len(body) >= self.drop_after_body_bytes:
                raise ConnectionResetError
        self.note("<dot>")
        answer = self._next("reply", GOOD["reply"])
        if answer in (DROP, HANG) or answer.startswith("2"):
            self.delivered.append(body.removesuffix(b".\r\n"))
        await self._utter(answer, writer)

    def _next(self, phase: str, default: str) -> str:
        answer = self.script.get(phase, default)
        if isinstance(answer, list):
            return answer.pop(0) if answer else default
        return answer

    async def _say(self, phase: str, writer: asyncio.StreamWriter, default: str = "") -> str:
        answer = self._next(phase, GOOD.get(phase, default))
        await self._utter(answer, writer)
        return answer

    async def _utter(self, answer: str, writer: asyncio.StreamWriter) -> None:
        if answer == DROP:
            raise ConnectionResetError
        if answer == HANG:
            await self.released.wait()
            raise ConnectionResetError
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        if answer.startswith("421"):
            raise ConnectionResetError
