"""The proxy itself, and a sweep over every cut point of a mail and of a request with clients that know nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aicmo.sandbox import RunningSandbox
from aicmo.sandbox.proxy import CuttingProxy

MESSAGE = b"Message-ID: <cut@example.com>\r\n\r\nhello\r\n.\r\n"
DIALOGUE = [
    b"EHLO client.example\r\n",
    b"MAIL FROM:<a@x.example>\r\n",
    b"RCPT TO:<b@x.example>\r\n",
    b"DATA\r\n",
    MESSAGE,
]
REQUEST = b"POST /hook HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """A server that says back what it hears; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def say(port: int, words: bytes, *, end: bool = True) -> tuple[bytes, bool]:
    """What came back, and whether the end was an orderly one; with ``end`` the client says that it has no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = bytearray()
    try:
        writer.write(words)
        if end:
            writer.write_eof()
        while data := await reader.read(100):
            heard += data
        return bytes(heard), True
    except ConnectionError:
        return bytes(heard), False
    finally:
        writer.close()


async def test_without_a_cut_everything_passes_and_is_counted(echo: int) -> None:
    async with CuttingProxy(echo) as proxy:
        assert await say(proxy.port, b"x" * 200_000) == (b"x" * 200_000, True)
        await proxy.settle()
        assert (proxy.up_bytes, proxy.down_bytes) == (200_000, 200_000)


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_on_the_way_up_lets_exactly_so_many_bytes_through(echo: int, reset: bool) -> None:
    async with CuttingProxy(echo, reset=reset) as proxy:
        for proxy.cut_up in range(6):
            _, orderly = await say(proxy.port, b"12345")
            await proxy.settle()
            assert proxy.up_bytes == proxy.cut_up
            assert orderly is not reset


async def test_a_cut_on_the_way_down_lets_exactly_so_many_bytes_through(echo: int) -> None:
    async with CuttingProxy(echo, reset=False) as proxy:
        for proxy.cut_down in range(6):
            assert await say(proxy.port, b"12345") == (b"12345"[: proxy.cut_down], True)


async def test_a_proxy_may_cut_some_connections_only(echo: int) -> None:
    async with CuttingProxy(echo, cut_down=1, times=2, reset=False) as proxy:
        assert [(await say(proxy.port, b"123"))[0] for _ in range(4)] == [b"1", b"1", b"123", b"123"]


async def test_a_server_that_does_not_listen_is_a_connection_that_ends(unused_port: int) -> None:
    async with CuttingProxy(unused_port) as proxy:
        assert (await say(proxy.port, b"hello"))[0] == b""


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


async def send_mail(port: int) -> str:
    """Say a whole dialogue; returns the last reply, empty when the connection was lost."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        line = await reader.readline()
        for words in DIALOGUE:
            if not line.startswith((b"2", b"3")):
                return ""
            writer.write(words)
            line = await reader.readline()
            while line[3:4] == b"-":
                line = await reader.readline()
        return line.decode()
    except ConnectionError:
        return ""
    finally:
        writer.close()


async def test_a_mail_is_delivered_at_most_once_and_always_if_it_was_confirmed(sandbox: RunningSandbox) -> None:
    async with CuttingProxy(sandbox.smtp["smtp-a"].port) as proxy:
        for proxy.cut_up in range(sum(map(len, DIALOGUE))):
            assert await send_mail(proxy.port) == ""
            await proxy.settle()
        assert sandbox.received() == []

        proxy.cut_up = None
        assert (await send_mail(proxy.port)).startswith("250 ")
        await proxy.settle()
        lost = 0
        said = proxy.down_bytes
        for proxy.cut_down in range(said):
            before = len(sandbox.received())
            reply = await send_mail(proxy.port)
            await proxy.settle()
            delivered = len(sandbox.received()) - before
            assert delivered == 1 if reply else delivered in (0, 1)
            lost += delivered and not reply

    assert lost  # Delivered without the client's knowing: what the sweep is about.


async def test_a_request_is_handled_once_if_all_of_it_came_through_and_never_otherwise(sandbox: RunningSandbox) -> None:
    async with CuttingProxy(sandbox.http["webhook"].port) as proxy:
        for proxy.cut_up in range(len(REQUEST)):
            assert (await say(proxy.port, REQUEST, end=False))[0] == b""
            await proxy.settle()
        assert sandbox.http_log() == []

        proxy.cut_up = None
        answer, _ = await say(proxy.port, REQUEST, end=False)
        assert answer.endswith(b'{"ok":true}')
        for proxy.cut_down in range(len(answer)):
            heard, _ = await say(proxy.port, REQUEST, end=False)
            await proxy.settle()
            assert answer.startswith(heard)
            assert len(sandbox.http_log()) == proxy.cut_down + 2
