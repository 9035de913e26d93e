"""A web server that sends what it is told, byte by byte; and answers as they were recorded, for the adapters' tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

DROP = b"<drop>"
HANG = b"<hang>"


def said(status: int, body: object = "", **headers: str) -> bytes:
    """A whole answer. What is not text is sent as JSON."""
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


@dataclass
class RawServer:
    """Answers each request with the next of ``answers``, the last one again and again."""

    answers: list[bytes] = field(default_factory=list)
    close_after: bool = False
    """Close the connection when the answer is out, whether it was whole or not."""
    reads_bytes: int | None = None
    """Close the connection when so many bytes of a request have come."""
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    """Head and body of every request that came whole."""
    connections: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                request = await self._read(reader)
                if request is None:
                    return
                self.requests.append(request)
                answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
                if answer == DROP:
                    return
                if answer == HANG:
                    await self.released.wait()
                    return
                writer.write(answer)
                await writer.drain()
                if self.close_after:
                    writer.close()
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            if not writer.is_closing():
                writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        if self.reads_bytes is not None:
            await reader.readexactly(self.reads_bytes)
            return None
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        return head + await reader.readexactly(length)


Recorded = httpx.Response | Exception


class Recording(httpx.MockTransport):
    """Answers with each of ``answers`` in turn, the last one again and again; keeps what was asked."""

    def __init__(self, *answers: Recorded | Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        super().__init__(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        return answer(request)

    def bodies(self) -> list[Any]:
        """What was asked, as JSON."""
        return [json.loads(request.content) for request in self.asked]


def reply(status: int, body: object = None, **headers: str) -> httpx.Response:
    """A recorded answer. Text is sent as ``text/plain``, everything else as JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, str):
        return httpx.Response(status, text=body, headers=named)
    return httpx.Response(status, json=body, headers=named)
