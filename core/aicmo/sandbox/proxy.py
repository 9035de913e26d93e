"""A TCP proxy that cuts a connection after so many bytes, in either direction: for sweeps over every cut point.

It stands between a client and a real server and knows nothing of what they say. Whatever was let through arrived; the
byte after it never does. One proxy serves a whole sweep: the cut may be changed between connections::

    async with CuttingProxy(server.port) as proxy:
        for proxy.cut_up in range(request_length + 1):
            await talk_to(proxy.port)
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

_CHUNK = 64 * 1024


class CuttingProxy:
    """An async context manager: it listens on a free port of 127.0.0.1 while it is entered, on the running loop."""

    port: int

    def __init__(
        self,
        server_port: int,
        *,
        cut_up: int | None = None,
        cut_down: int | None = None,
        times: int | None = None,
        reset: bool = True,
    ) -> None:
        self.server_port = server_port
        self.cut_up = cut_up
        """After how many bytes from client to server a connection is cut; 0: before the first. None: never."""
        self.cut_down = cut_down
        """The same from server to client."""
        self.times = times
        """How many connections are still to be cut; later ones pass whole. None: all."""
        self.reset = reset
        """Whether the client sees a reset; otherwise an orderly end. The server always sees an orderly end."""
        self.up_bytes = 0
        """Bytes let through to the server on the connection that was taken last."""
        self.down_bytes = 0
        """The same to the client."""
        self._lines: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> CuttingProxy:
        self._listener = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._listener.close()
        for line in tuple(self._lines):
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def settle(self) -> None:
        """Wait until every connection has ended, on both sides."""
        await asyncio.gather(*self._lines, return_exceptions=True)

    async def _take(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        self.up_bytes = self.down_bytes = 0
        cuts = self.times is None or self.times > 0
        up, down = (self.cut_up, self.cut_down) if cuts else (None, None)
        to_server: asyncio.StreamWriter | None = None
        with suppress(OSError):
            try:
                server, to_server = await asyncio.open_connection("127.0.0.1", self.server_port)
                if await self._carry(client, to_client, server, to_server, up, down):
                    if self.times is not None:
                        self.times -= 1
                    if self.reset:
                        _reset_when_sent(to_client)
            finally:
                to_client.close()
                if to_server is not None:
                    to_server.close()
                    await to_server.wait_closed()

    async def _carry(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        to_server: asyncio.StreamWriter,
        up: int | None,
        down: int | None,
    ) -> bool:
        """Pass bytes on until one side ends or a cut is reached; returns whether it was a cut."""

        def count_up(size: int) -> None:
            self.up_bytes += size

        def count_down(size: int) -> None:
            self.down_bytes += size

        ways = {
            asyncio.create_task(_pass_on(client, to_server, up, count_up)),
            asyncio.create_task(_pass_on(server, to_client, down, count_down)),
        }
        try:
            while ways:
                done, ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                if any(way.result() for way in done):
                    return True
            return False
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pass_on(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: int | None, count: Callable[[int], None]
) -> bool:
    """Carry one direction to its end; returns whether that was the cut. Raises ``OSError`` when a side is lost."""
    passed = 0
    while data := await source.read(_CHUNK):
        allowed = data if cut is None else data[: cut - passed]
        sink.write(allowed)
        await sink.drain()
        passed += len(allowed)
        count(len(allowed))
        if passed == cut:
            return True
    if sink.can_write_eof():
        sink.write_eof()
    return False


def _reset_when_sent(writer: asyncio.StreamWriter) -> None:
    lost = writer.get_extra_info("socket")
    lost.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
