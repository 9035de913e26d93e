"""Envelope and DATA in one write (RFC 2920): each answer still counts for its own command, and nothing goes too far."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from loopback import serving
from smtp_server import DROP, HANG, ScriptedServer
from test_smtp import MAIL, RAW, at_once, provider_for

from aicmo.errors import StoreError
from aicmo.gateways import Applied, NotNow, Outcome, OutgoingMail
from aicmo.gateways.smtp_session import LONGEST_ANSWER, GarbledAnswer, SmtpSession

NOBODY = "503 5.5.1 no valid recipients"


def server(script: dict[str, Any] | None = None) -> ScriptedServer:
    return ScriptedServer(script or {}, offers=("PIPELINING", "SIZE 1000000"))


async def test_the_envelope_leaves_in_one_piece_and_the_body_after_its_last_answer() -> None:
    heard: list[bytes] = []

    async def answer_only_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        await reader.readline()
        writer.write(b"250-hi\r\n250 PIPELINING\r\n")
        heard.append(await reader.readuntil(b"DATA\r\n"))
        writer.write(b"250 ok\r\n250 ok\r\n354 go on\r\n")
        heard.append(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 ok\r\n")
        await reader.readline()
        writer.transport.abort()

    listening = await asyncio.start_server(answer_only_at_the_end, "127.0.0.1", 0)
    good = server()
    good.port = listening.sockets[0].getsockname()[1]
    async with listening, provider_for(good) as provider:
        assert (await provider.send(MAIL, before_body=at_once)).applied is Applied.YES
    assert heard == [b"MAIL FROM:<news@example.com>\r\nRCPT TO:<ada@example.net>\r\nDATA\r\n", RAW + b".\r\n"]


async def test_one_connection_carries_many_mails() -> None:
    good = server()
    async with serving(good), provider_for(good) as provider:
        for _ in range(3):
            assert (await provider.send(MAIL, before_body=at_once)).applied is Applied.YES
    assert (good.connections, good.delivered) == (1, [RAW] * 3)


@pytest.mark.parametrize(
    ("script", "phase", "outcome"),
    [
        ({"mail": ["451 4.3.0 later"], "rcpt": [NOBODY], "data": [NOBODY]}, "mail", Outcome.TRANSIENT),
        ({"rcpt": ["550 5.1.1 no such user"], "data": [NOBODY]}, "rcpt", Outcome.RECIPIENT),
        ({"rcpt": ["450 4.2.0 greylisted"], "data": ["554 5.5.1 no valid recipients"]}, "rcpt", Outcome.RECIPIENT),
        ({"data": ["451 4.3.0 later"]}, "data", Outcome.TRANSIENT),
    ],
)
async def test_the_first_refusal_is_the_one_that_is_told_and_the_connection_lives_on(
    script: dict[str, Any], phase: str, outcome: Outcome
) -> None:
    asked: list[str] = []

    async def ledger() -> None:
        asked.append("asked")

    refusing = server(script)
    async with serving(refusing), provider_for(refusing) as provider:
        refused = await provider.send(MAIL, before_body=ledger)
        assert not asked, "nothing is written for a body that nobody wants"
        following = await provider.send(MAIL, before_body=ledger)
    assert (refused.outcome, refused.applied, refused.phase) == (outcome, Applied.NO, phase)
    assert following.outcome is Outcome.OK
    assert (refusing.connections, refusing.seen.count("RSET"), refusing.delivered) == (1, 1, [RAW])


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_a_server_that_asks_for_the_body_of_what_it_refused_gets_none(phase: str) -> None:
    odd = server({phase: ["550 5.1.1 no"]})
    async with serving(odd), provider_for(odd) as provider:
        refused = await provider.send(MAIL, before_body=at_once)
        assert (refused.applied, refused.phase) == (Applied.NO, phase)
        await odd.until(lambda: odd.open_now == 0)
        assert "<body>" not in odd.seen
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    assert (odd.connections, odd.delivered) == (2, [RAW])


@pytest.mark.parametrize("answer", [DROP, HANG, "421 4.3.2 shutting down"])
@pytest.mark.parametrize("phase", ["mail", "rcpt", "data"])
async def test_what_breaks_before_the_body_has_not_happened(phase: str, answer: str) -> None:
    breaking = server({phase: answer})
    async with serving(breaking), provider_for(breaking, timeout_seconds=0.1) as provider:
        attempt = await provider.send(MAIL, before_body=at_once)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, phase)
    assert "<body>" not in breaking.seen


@pytest.mark.parametrize("error", [NotNow("paused"), StoreError("disk full"), TimeoutError(), asyncio.CancelledError()])
async def test_what_the_ledger_raises_comes_through_and_nothing_was_sent(error: BaseException) -> None:
    async def refusing() -> None:
        raise error

    asking = server()
    async with serving(asking), provider_for(asking) as provider:
        with pytest.raises(type(error)):
            await provider.send(MAIL, before_body=refusing)
        assert "<body>" not in asking.seen
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    assert asking.delivered == [RAW]


async def test_no_byte_of_the_body_leaves_before_the_ledger_has_written() -> None:
    waiting, written = server(), asyncio.Event()

    async def slow_ledger() -> None:
        await written.wait()
        waiting.note("<ledger>")

    async with serving(waiting), provider_for(waiting) as provider:
        sending = asyncio.create_task(provider.send(MAIL, before_body=slow_ledger))
        await waiting.saw("DATA")
        for _ in range(100):  # every chance to leave too early
            await asyncio.sleep(0)
        assert "<body>" not in waiting.seen
        written.set()
        assert (await sending).outcome is Outcome.OK
    assert waiting.seen.index("<ledger>") < waiting.seen.index("<body>")


async def test_a_connection_that_died_while_idle_is_replaced_once() -> None:
    dying = server({"mail": ["250 ok", DROP]})
    async with serving(dying), provider_for(dying) as provider:
        for _ in range(2):
            assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    assert (dying.connections, len(dying.delivered)) == (2, 2)


async def test_a_message_too_big_for_the_server_is_never_begun() -> None:
    small = server()
    big = OutgoingMail("a@example.com", "b@example.com", RAW * 60_000)
    async with serving(small), provider_for(small) as provider:
        attempt = await provider.send(big, before_body=at_once)
    assert (attempt.outcome, attempt.permanent, attempt.phase) == (Outcome.CONTENT, True, "mail")
    assert not any(line.startswith("MAIL") for line in small.seen)


# --- the session alone ------------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """Keeps what is written; closed is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: Any) -> None: ...

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


@pytest.mark.parametrize("step", range(1, 60))
async def test_answers_are_the_same_however_they_are_cut(step: int) -> None:
    session = SmtpSession(Wire(), {})
    session.say(b"", answers=3)
    said = b"250-2.1.0 one\r\n250 2.1.0 more\r\n550 5.1.1\r\n354 go on\r\n"
    for place in range(0, len(said), step):
        session.data_received(said[place : place + step])
    answers = [await session.answer(1) for _ in range(3)]
    assert answers == [(250, "2.1.0 one\n2.1.0 more"), (550, "5.1.1"), (354, "go on")]
    assert session.alive


@pytest.mark.parametrize("said", [b"421 4.4.2 idle too long\r\n", b"250 ok\r\n250 and once more\r\n"])
async def test_an_answer_that_nobody_asked_for_ends_the_session(said: bytes) -> None:
    session = SmtpSession(Wire(), {})
    if said.startswith(b"250"):
        session.say(b"NOOP\r\n")
    session.data_received(said)
    assert not session.alive
    with pytest.raises(ConnectionError):
        session.say(b"MAIL FROM:<>\r\n")


NO_ANSWERS = [
    b"gibberish\r\n",
    b"\r\n",
    b"250-" + b"x" * LONGEST_ANSWER,
    b"2\xb2\xb2 no\r\n",
    b"2500 bytes\r\n",
    b"250-accepted\r\n550 5.1.1 nobody\r\n",
]


@pytest.mark.parametrize("said", NO_ANSWERS)
async def test_what_is_no_smtp_ends_the_session(said: bytes) -> None:
    session = SmtpSession(Wire(), {})
    session.say(b"NOOP\r\n")
    session.data_received(said)
    with pytest.raises(GarbledAnswer):
        await session.answer(1)
    assert not session.alive


async def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_said() -> None:
    session = SmtpSession(Wire(), {})
    session.say(b"NOOP\r\n")
    with pytest.raises(TimeoutError):
        await session.answer(0.01)
    assert not session.alive, "its answer is still owed: the next one heard would be this one's"


async def test_news_of_something_else_does_not_make_a_wait_endless() -> None:
    session = SmtpSession(Wire(), {})
    session.say(b"NOOP\r\n")
    waiting = asyncio.create_task(session.answer(0.01))
    while not waiting.done():
        session.pause_writing()
        session.resume_writing()  # at every turn of the loop, that of the deadline included
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        waiting.result()
