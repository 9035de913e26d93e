"""The conversation itself: every step of it ends, and costs no more than was allowed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from aicmo.gateways.imap_session import PIECE_BYTES, Found, ImapSession, open_session

TIMEOUT_S = 60.0
STEP_S = 0.8 * TIMEOUT_S


class Recorder(asyncio.Transport):
    """A connection on which nothing is heard but what the test feeds."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[bytes] = []
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.said.append(bytes(data))

    def abort(self) -> None:
        self.aborted = True


class SlowReader(asyncio.StreamReader):
    """Everything is there, but each ``slow`` thing (line or piece) takes ``STEP_S`` on the loop's clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, slow: str) -> None:
        super().__init__()
        self.slow = slow
        self.late_s = 0.0
        loop = asyncio.get_running_loop()
        true_time = loop.time
        monkeypatch.setattr(loop, "time", lambda: true_time() + self.late_s)

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        await self._dawdle("line")
        return await super().readuntil(separator)

    async def readexactly(self, n: int) -> bytes:
        await self._dawdle("piece")
        return await super().readexactly(n)

    async def _dawdle(self, what: str) -> None:
        if what == self.slow:
            self.late_s += STEP_S
            await asyncio.sleep(0)


def session_on(answer: bytes, reader: asyncio.StreamReader | None = None) -> tuple[ImapSession, Recorder]:
    reader, transport = reader or asyncio.StreamReader(), Recorder()
    reader.feed_data(answer)
    reader.feed_eof()
    return ImapSession(reader, transport, "127.0.0.1", TIMEOUT_S), transport


# --- time -------------------------------------------------------------------------------------------------------------


async def test_a_mail_on_a_slow_line_may_take_longer_than_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"x" * (5 * PIECE_BYTES)
    answer = b"* 1 FETCH (UID 3 BODY[] {%d}\r\n%b)\r\nA1 OK done\r\n" % (len(raw), raw)
    reader = SlowReader(monkeypatch, "piece")
    session, _ = session_on(answer, reader)
    assert [found.raw for found in await session.mails([3], len(raw))] == [raw]
    assert reader.late_s > 3 * TIMEOUT_S


async def test_a_server_that_only_dawdles_is_left_at_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    session, transport = session_on(b"* 1 EXISTS\r\n" * 1000, SlowReader(monkeypatch, "line"))
    with pytest.raises(TimeoutError):
        await session.noop()
    assert transport.aborted


@asynccontextmanager
async def silent_server() -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Event]]:
    """Its port, and what it sees: that somebody came, that they are gone."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        try:
            await reader.read()
        except ConnectionError:
            pass
        finally:
            gone.set()
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came, gone


async def test_a_cancelled_step_closes_the_connection() -> None:
    async with silent_server() as (port, came, gone):
        opening = asyncio.create_task(open_session("127.0.0.1", port, tls=None, timeout_s=TIMEOUT_S))
        await came.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        async with asyncio.timeout(TIMEOUT_S):
            await gone.wait()


async def test_a_step_out_of_time_closes_the_connection() -> None:
    async with silent_server() as (port, _, gone):
        with pytest.raises(TimeoutError):
            await open_session("127.0.0.1", port, tls=None, timeout_s=0.05)
        async with asyncio.timeout(TIMEOUT_S):
            await gone.wait()


# --- room -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flood",
    [
        b"* \r\n" * 40_000,
        b"* 1 FETCH (" + b"{0}\r\n" * 40_000,
        b"* 1 FETCH (UID 3 BODY[] {99999999}\r\n",
        b"* OK " + b"x" * 1_100_000,
    ],
    ids=lambda flood: repr(flood[:16]),
)
async def test_what_nobody_asked_for_ends_the_conversation(flood: bytes) -> None:
    session, transport = session_on(flood)
    with pytest.raises(ConnectionAbortedError, match="more than it was asked for"):
        await session.noop()
    assert transport.aborted


ENDLESS = b"9" * 5000
"""More digits than Python makes a number of."""


@pytest.mark.parametrize(
    ("answer", "ask", "given"),
    [
        (b"* SEARCH 4 %b 5 x6 7\r\n" % ENDLESS, lambda session: session.uids_after(0), [4, 5, 7]),
        (b"* 1 FETCH (UID %b)\r\n" % ENDLESS, lambda session: session.mails([3], 9), []),
        (b"* 1 FETCH (UID 3 RFC822.SIZE %b)\r\n" % ENDLESS, lambda session: session.sizes([3]), {}),
        (
            b"* 1 FETCH (UID 3 BODY[] {%b}\r\n" % ENDLESS,
            lambda session: session.mails([3], 9),
            [Found(3, 0, None, None)],
        ),
    ],
)
async def test_numbers_that_are_none_are_passed_over(
    answer: bytes, ask: Callable[[ImapSession], Awaitable[object]], given: object
) -> None:
    session, _ = session_on(answer + b"A1 OK done\r\n")
    assert await ask(session) == given


# --- what is understood -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "raw"),
    [
        (b"{3}\r\na\r\n", b"a\r\n"),
        (b"{0}\r\n", b""),
        (b'""', b""),
        (rb'"say \"UID 9\" \\"', rb'say "UID 9" ' + b"\\"),
        (b"NIL", None),
    ],
)
async def test_a_mail_may_come_as_a_literal_in_quotes_or_not_at_all(item: bytes, raw: bytes | None) -> None:
    session, _ = session_on(b"* 1 FETCH (BODY[] " + item + b" UID 3)\r\nA1 OK done\r\n")
    assert await session.mails([3], 20) == [Found(3, 0, None, raw)]


async def test_the_text_of_a_status_may_look_like_an_announcement() -> None:
    session, _ = session_on(b"* OK I have {5}\r\nA1 OK done {9}\r\n")
    await session.noop()


async def test_a_server_that_takes_no_token_in_the_command_is_given_it_when_it_asks() -> None:
    session, transport = session_on(b"+ \r\nA1 OK welcome\r\n")
    await session.log_in_with_token("zoe", "token", at_once=False)
    assert transport.said == [
        b"A1 AUTHENTICATE XOAUTH2\r\n",
        b"dXNlcj16b2UBYXV0aD1CZWFyZXIgdG9rZW4BAQ==\r\n",
    ]


async def test_a_question_nobody_expected_ends_the_conversation() -> None:
    session, transport = session_on(b"+ your password again?\r\nA1 OK done\r\n")
    with pytest.raises(ConnectionAbortedError, match="cannot be read"):
        await session.noop()
    assert transport.aborted
