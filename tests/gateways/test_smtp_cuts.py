"""The line is cut after every single byte, in either direction: what is called *not happened* never has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes import ManualClock
from loopback import serving
from smtp_server import ScriptedServer
from test_smtp import at_once, provider_for

from aicmo.gateways import Applied, HealthRegistry, Outcome, OutgoingMail, ProviderChain
from aicmo.gateways.providers.smtp import SmtpProvider

MAIL = OutgoingMail("a@example.com", "b@example.com", b"Subject: x\r\n\r\n.y\r\n")


@asynccontextmanager
async def cutting(
    server: ScriptedServer, *, upstream: int | None = None, downstream: int | None = None
) -> AsyncIterator[int]:
    """A proxy to ``server`` that dies after so many bytes towards it, or from it; gives the proxy's port."""
    lines: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> None:
        carried = 0
        while piece := await reader.read(65536):
            piece = piece if most is None else piece[: most - carried]
            carried += len(piece)
            writer.write(piece)
            await writer.drain()
            if carried == most:
                return

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", server.port)
        both = [
            asyncio.create_task(carry(reader, their_writer, upstream)),
            asyncio.create_task(carry(their_reader, writer, downstream)),
        ]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
            # A close, not an abort: what was let through towards the server arrives.
            their_writer.close()
            writer.transport.abort()
            lines.append(their_writer)

    proxy = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield proxy.sockets[0].getsockname()[1]
    finally:
        proxy.close()
        await proxy.wait_closed()


OFFERS = [("SIZE 1000000", "8BITMIME"), ("SIZE 1000000", "8BITMIME", "PIPELINING")]


async def _bytes_of_a_whole_sending(offers: tuple[str, ...]) -> int:
    """How many bytes go to the server, without QUIT."""
    server = ScriptedServer(offers=offers)
    async with serving(server), provider_for(server) as provider:
        assert (await provider.send(MAIL, before_body=at_once)).outcome is Outcome.OK
    return sum(len(line) + 2 for line in server.seen if line not in ("<body>", "<dot>", "QUIT")) + len(MAIL.raw) + 1 + 3


async def _round(offers: tuple[str, ...], upstream: int | None, downstream: int | None) -> tuple[Applied, int]:
    server = ScriptedServer(offers=offers)
    async with (
        serving(server),
        cutting(server, upstream=upstream, downstream=downstream) as port,
        provider_for(server, port=port, timeout_seconds=1, final_reply_seconds=1) as provider,
    ):
        attempt = await provider.send(MAIL, before_body=at_once)
        await server.until(lambda: server.open_now == 0)
    return attempt.applied, len(server.delivered)


@pytest.mark.parametrize("offers", OFFERS, ids=["step by step", "pipelined"])
async def test_cut_on_the_way_to_the_server_no_mail_is_called_unsent_that_arrived(offers: tuple[str, ...]) -> None:
    up = await _bytes_of_a_whole_sending(offers)
    outcomes = {cut: await _round(offers, cut, None) for cut in range(1, up + 1)}
    for cut, (applied, delivered) in outcomes.items():
        if applied is Applied.NO:
            assert delivered == 0, cut
        if applied is Applied.YES:
            assert delivered == 1, cut
    assert outcomes[1][0] is Applied.NO
    assert outcomes[up] in ((Applied.UNKNOWN, 1), (Applied.YES, 1))
    assert {applied for applied, _ in outcomes.values()} >= {Applied.NO, Applied.UNKNOWN}


@pytest.mark.parametrize("offers", OFFERS, ids=["step by step", "pipelined"])
async def test_cut_on_the_way_back_no_mail_is_called_unsent_that_arrived(offers: tuple[str, ...]) -> None:
    seen = set()
    for cut in range(1, 300):
        applied, delivered = await _round(offers, None, cut)
        seen.add(applied)
        assert delivered == 0 if applied is Applied.NO else applied is Applied.UNKNOWN or delivered == 1, cut
        if applied is Applied.YES:
            break
    assert seen == set(Applied)


@pytest.mark.parametrize(
    ("script", "served_by", "to_b"),
    [
        ({"data": "<drop>"}, "b", 1),
        ({"reply": "<drop>"}, "a", 0),
        ({"rcpt": "550 5.1.1 no such user"}, "", 0),
        ({"mail": "421 4.3.2 closing"}, "b", 1),
    ],
)
async def test_the_spare_server_delivers_exactly_when_the_first_provably_did_not(
    script: dict[str, str], served_by: str, to_b: int
) -> None:
    a, b, clock = ScriptedServer(dict(script)), ScriptedServer(), ManualClock()
    async with serving(a), serving(b), provider_for(a) as first, provider_for(b) as second:
        first.name, second.name = "a", "b"
        chain: ProviderChain[SmtpProvider] = ProviderChain(
            "email_sending", [first, second], HealthRegistry(), clock=clock
        )
        result = await chain.call(lambda provider: provider.send(MAIL, before_body=at_once), side_effect=True)
        await chain.registry.close()
    assert (result.served_by, len(b.delivered)) == (served_by, to_b)
