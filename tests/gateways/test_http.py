"""What all HTTP providers share: what a lost answer proves, how long to stay away, and what never gets out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from fakes import ManualClock
from http_server import HANG, RawServer, Recording, reply, said
from loopback import serving
from pydantic import ValidationError
from test_smtp_tls import Certificate, _certificate

from aicmo.clock import Clock
from aicmo.errors import AuthNeeded
from aicmo.gateways import Applied, Outcome
from aicmo.gateways.attempt import Answer
from aicmo.gateways.http import LARGEST_ANSWER, HttpProvider
from aicmo.gateways.http_answer import LONGEST_WAIT, Document, Effect, Reply, Rule, Text, retry_after
from aicmo.gateways.http_settings import BaseAddress, HttpSettings

CANARY = "canary/KEY+0123456789"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class ProbeSettings(HttpSettings):
    base_url: BaseAddress = "https://probe.example/api"


class Probe(HttpProvider[ProbeSettings]):
    """A provider with nothing of its own."""

    label: ClassVar[str] = "Probe"

    @property
    def address(self) -> str:
        return self.settings.base_url

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        return {"x-key": key}

    def words(self, document: Any) -> tuple[str, str]:
        return str(document.get("code", "")), str(document.get("message", ""))


class Said(Document):
    said: Text


@asynccontextmanager
async def probe(
    at: RawServer | None = None, transport: httpx.AsyncBaseTransport | None = None, key: str = CANARY, **settings: Any
) -> AsyncIterator[Probe]:
    clock: Clock | None = settings.pop("clock", None)
    if at is not None:
        settings["base_url"] = at.url
    more: dict[str, Any] = {} if clock is None else {"clock": clock}
    provider = Probe("probe", ProbeSettings(**settings), secret=lambda: key, transport=transport, **more)
    try:
        yield provider
    finally:
        await provider.close()


async def post_to(server: RawServer, effect: Effect = Effect.ONCE, **settings: Any) -> Answer[Said]:
    async with serving(server), probe(server, **settings) as provider:
        return await provider.ask("POST", "/thing", Said, effect=effect, body={"a": 1})


# --- whether it happened --------------------------------------------------------------------------------------------

NEVER_LEFT = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("slow"),
    httpx.PoolTimeout("full"),
    httpx.ProxyError("403"),
    httpx.UnsupportedProtocol("ftp"),
    httpx.LocalProtocolError("bad header"),
]
MAY_HAVE_ARRIVED = [
    httpx.WriteError("reset"),
    httpx.WriteTimeout("slow"),
    httpx.ReadTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("Server disconnected without sending a response."),
    httpx.DecodingError("not gzip"),
    httpx.CloseError("closing"),
    OSError("tls alert"),
]


def _kind(error: object) -> str:
    return type(error).__name__


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("error", NEVER_LEFT, ids=_kind)
async def test_a_request_that_never_left_did_nothing(error: Exception, effect: Effect) -> None:
    async with probe(transport=Recording(error)) as provider:
        answer = await provider.ask("POST", "/thing", Said, effect=effect)
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.TRANSIENT, Applied.NO)


@pytest.mark.parametrize(
    ("effect", "outcome", "applied"),
    [
        (Effect.NONE, Outcome.TRANSIENT, Applied.NO),
        (Effect.REPEATABLE, Outcome.TRANSIENT, Applied.UNKNOWN),
        (Effect.ONCE, Outcome.AMBIGUOUS, Applied.UNKNOWN),
    ],
)
@pytest.mark.parametrize("error", MAY_HAVE_ARRIVED, ids=_kind)
async def test_a_lost_answer_proves_nothing_about_what_acts(
    error: Exception, effect: Effect, outcome: Outcome, applied: Applied
) -> None:
    async with probe(transport=Recording(error)) as provider:
        answer = await provider.ask("POST", "/thing", Said, effect=effect)
    assert (answer.attempt.outcome, answer.attempt.applied) == (outcome, applied)
    assert answer.value is None


def test_the_tables_above_name_every_way_in_which_the_transport_can_fail() -> None:
    def leaves(kind: type[Exception]) -> set[type[Exception]]:
        return set().union(*map(leaves, kind.__subclasses__())) if kind.__subclasses__() else {kind}

    named = {type(error) for error in (*NEVER_LEFT, *MAY_HAVE_ARRIVED)} - {OSError}
    assert leaves(httpx.RequestError) - named == {httpx.TooManyRedirects}, "no redirect is ever followed"


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "applied"),
    [
        (429, {}, Outcome.RATE_LIMITED, Applied.NO),
        (503, {"retry_after": "5"}, Outcome.TRANSIENT, Applied.NO),
        (503, {}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (503, {"retry_after": "soon"}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (500, {"retry_after": "5"}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (502, {}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (504, {}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (400, {}, Outcome.INPUT, Applied.NO),
        (401, {}, Outcome.AUTH, Applied.NO),
        (402, {}, Outcome.QUOTA, Applied.NO),
        (403, {}, Outcome.AUTH, Applied.NO),
        (404, {}, Outcome.INPUT, Applied.NO),
        (408, {}, Outcome.TRANSIENT, Applied.NO),
        (413, {}, Outcome.INPUT, Applied.NO),
        (422, {}, Outcome.INPUT, Applied.NO),
        (307, {"location": "https://elsewhere.example/"}, Outcome.AUTH, Applied.NO),
        (303, {"location": "https://elsewhere.example/"}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (409, {}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
        (418, {}, Outcome.AMBIGUOUS, Applied.UNKNOWN),
    ],
)
async def test_a_status_decides_where_the_provider_has_no_rule_of_its_own(
    status: int, headers: dict[str, str], outcome: Outcome, applied: Applied
) -> None:
    transport = Recording(reply(status, {"message": "so"}, **headers))
    async with probe(transport=transport) as provider:
        attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
    assert (attempt.outcome, attempt.applied, attempt.code) == (outcome, applied, str(status))
    assert attempt.detail and len(transport.asked) == 1, "nothing is retried, no redirect followed"


@pytest.mark.parametrize("status", [303, 409, 418, 500, 502, 504])
async def test_what_no_rule_knows_is_transient_for_a_read(status: int) -> None:
    async with probe(transport=Recording(reply(status))) as provider:
        attempt = (await provider.ask("GET", "/thing", Said)).attempt
    assert (attempt.outcome, attempt.applied) == (Outcome.TRANSIENT, Applied.NO)


# --- over real connections ------------------------------------------------------------------------------------------


async def test_an_answer_is_read_and_the_key_shown() -> None:
    server = RawServer([said(200, {"said": "yes", "more": 1})])
    answer = await post_to(server)
    assert answer.value == Said(said="yes")
    assert (answer.attempt.outcome, answer.attempt.applied, answer.attempt.phase) == (Outcome.OK, Applied.YES, "reply")
    assert f"x-key: {CANARY}".encode() in server.requests[0]


async def test_every_cut_of_an_answer_leaves_an_acting_request_unknown() -> None:
    whole = said(200, {"said": "yes"})
    server = RawServer([whole[:length] for length in range(len(whole))], close_after=True)
    async with serving(server), probe(server) as provider:
        for length in range(len(whole)):
            attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
            assert (attempt.outcome, attempt.applied) == (Outcome.AMBIGUOUS, Applied.UNKNOWN), length


async def test_every_cut_of_a_request_is_unknown_though_it_was_not_whole() -> None:
    server = RawServer()
    async with serving(server), probe(server) as provider:
        for length in range(180):
            server.reads_bytes = length
            attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
            assert (attempt.outcome, attempt.applied) == (Outcome.AMBIGUOUS, Applied.UNKNOWN), length
    assert not server.requests


async def test_a_refused_connection_did_nothing() -> None:
    async with serving(RawServer()) as gone:
        port = gone.port
    async with probe(base_url=f"http://127.0.0.1:{port}") as provider:
        attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "connect")
    assert attempt.detail.startswith("Probe cannot be reached")


@pytest.mark.parametrize(("effect", "outcome"), [(Effect.NONE, Outcome.TRANSIENT), (Effect.ONCE, Outcome.AMBIGUOUS)])
async def test_a_silent_server_is_left_when_the_time_is_over(effect: Effect, outcome: Outcome) -> None:
    attempt = (await post_to(RawServer([HANG]), effect, timeout_seconds=0.2)).attempt
    assert (attempt.outcome, attempt.phase) == (outcome, "reply")
    assert "did not answer within 0.2 s" in attempt.detail


async def test_a_server_that_drips_its_answer_is_left_when_the_time_is_over() -> None:
    class Dripping(RawServer):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            try:
                while not self.released.is_set():
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.01)
            except ConnectionError:
                pass
            finally:
                writer.transport.abort()

    assert (await post_to(Dripping(), Effect.NONE, timeout_seconds=0.2)).attempt.outcome is Outcome.TRANSIENT


async def test_a_connection_that_never_speaks_tls_did_nothing() -> None:
    server = RawServer([HANG])
    async with serving(server), probe(base_url=f"https://127.0.0.1:{server.port}", timeout_seconds=0.3) as provider:
        attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.TRANSIENT, Applied.NO, "connect")


@pytest.mark.parametrize(("effect", "outcome"), [(Effect.NONE, Outcome.TRANSIENT), (Effect.ONCE, Outcome.AMBIGUOUS)])
async def test_a_huge_answer_is_not_swallowed(effect: Effect, outcome: Outcome) -> None:
    megabyte = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    server = RawServer([head + megabyte * (LARGEST_ANSWER // 2**20 + 2)])
    attempt = (await post_to(server, effect)).attempt
    assert (attempt.outcome, attempt.code) == (outcome, "200")
    assert attempt.detail == "Probe sent more than 16 MB; the answer was not read."


async def test_of_a_huge_refusal_the_beginning_is_enough() -> None:
    attempt = (await post_to(RawServer([said(429, "slow down " * 100_000)]))).attempt
    assert (attempt.outcome, attempt.applied) == (Outcome.RATE_LIMITED, Applied.NO)
    assert len(attempt.detail) <= 300


@pytest.mark.parametrize(
    "rubbish", ["", "<html>Just a moment</html>", "[]", "null", '{"said": [', "NaN", '{"other": 1}', "[" * 100_000]
)
async def test_rubbish_is_no_answer(rubbish: str) -> None:
    answer = await post_to(RawServer([said(200, rubbish)]))
    assert (answer.value, answer.attempt.outcome) == (None, Outcome.AMBIGUOUS)
    assert answer.attempt.detail.startswith("Probe answered something else")


async def test_a_request_that_acts_has_a_connection_of_its_own_and_a_read_keeps_its() -> None:
    server = RawServer([said(200, {"said": "yes"})])
    async with serving(server), probe(server) as provider:
        for _ in range(3):
            await provider.ask("GET", "/thing", Said)
        assert server.connections == 1
        for _ in range(3):
            await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)
        assert server.connections == 4


async def test_a_read_survives_a_connection_that_died_while_idle() -> None:
    server = RawServer([said(200, {"said": "yes"})], close_after=True)
    async with serving(server), probe(server) as provider:
        for _ in range(3):
            answer = await provider.ask("GET", "/thing", Said)
            assert answer.attempt.outcome is Outcome.OK


async def test_a_cancelled_request_lets_go_of_its_connection() -> None:
    server = RawServer([HANG])
    async with serving(server), probe(server) as provider:
        task = asyncio.create_task(provider.ask("POST", "/thing", Said, effect=Effect.ONCE))
        while not server.requests:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


# --- when to come back ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("٣", None),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        ("Sunday, 22-Nov-26 12:01:00 GMT", 60),
        ("Sun, 22 Nov 2026 11:59:00 GMT", None),
        ("Sun, 22 Nov 2026 12:01:00 -0000", 60),
        ("Sun, 99 Nov 2026 12:01:00 GMT", None),
        ("9" * 400, LONGEST_WAIT.total_seconds()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT.total_seconds()),
    ],
)
def test_retry_after_is_believed_within_reason(value: str, seconds: float | None) -> None:
    assert retry_after(value, NOW) == (None if seconds is None else NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("rule", "header", "seconds"),
    [
        (Rule("429", "", Outcome.RATE_LIMITED, ""), "", None),
        (Rule("429", "", Outcome.RATE_LIMITED, ""), "7", 7),
        (Rule("429", "", Outcome.RATE_LIMITED, "", wait_s=60), "", 60),
        (Rule("429", "", Outcome.RATE_LIMITED, "", wait_s=60), "7", 7),
        (Rule("429", "", Outcome.RATE_LIMITED, "", least_wait_s=30), "", 30),
        (Rule("429", "", Outcome.RATE_LIMITED, "", least_wait_s=30), "7", 30),
        (Rule("429", "", Outcome.RATE_LIMITED, "", least_wait_s=30), "70", 70),
    ],
)
async def test_a_rule_says_how_long_to_stay_away_when_the_provider_does_not(
    rule: Rule, header: str, seconds: float | None
) -> None:
    clock = ManualClock()
    async with probe(transport=Recording(reply(429, {}, retry_after=header)), clock=clock) as provider:
        answer: Answer[Reply] = await provider.exchange("GET", "/thing", effect=Effect.NONE, rules=(rule,))
    assert answer.attempt.retry_at == (None if seconds is None else clock.now() + timedelta(seconds=seconds))


# --- the key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"bad key {CANARY}"},
        f"bad key {CANARY} given",
        '{"message": "bad key ' + CANARY.replace("/", "\\/") + '"}',
        "bad key canary%2FKEY%2B0123456789",
        {"code": CANARY},
        "x" * 495 + CANARY,
    ],
)
async def test_a_key_that_comes_back_is_masked(body: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "aicmo"):
        answer = await post_to(RawServer([said(401, body)]))
    assert "0123456789" not in f"{answer} {caplog.text}"
    assert "canary" not in f"{answer}"


async def test_a_key_inside_an_answer_is_masked_too() -> None:
    answer = await post_to(RawServer([said(200, {"said": f"you are {CANARY}"})]))
    assert answer.value == Said(said="you are •••")


@pytest.mark.parametrize("key", ["two words here", "line\nbreak", "nül", "", "\x00"])
async def test_a_key_that_cannot_be_one_is_never_sent(key: str) -> None:
    server = RawServer([said(200, {})])
    attempt = (await post_to(server, key=key)).attempt
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "check")
    assert not server.connections and (not key.strip() or key not in attempt.detail)


async def test_white_space_around_a_key_is_a_slip_of_copying() -> None:
    server = RawServer([said(200, {"said": "yes"})])
    assert (await post_to(server, key=f" {CANARY}\n")).attempt.outcome is Outcome.OK


async def test_a_missing_key_asks_for_one_and_calls_nobody() -> None:
    def no_key() -> str:
        raise AuthNeeded("No password for probe: environment variable PROBE_KEY has none.")

    transport = Recording(reply(200, {}))
    provider = Probe("probe", ProbeSettings(), secret=no_key, transport=transport)
    attempt = (await provider.ask("GET", "/thing", Said)).attempt
    await provider.close()
    assert (attempt.outcome, attempt.detail[:23]) == (Outcome.AUTH, "No password for probe: ")
    assert not transport.asked


async def test_a_refused_key_is_fetched_anew_for_the_next_request() -> None:
    keys = ["old-key-1", "new-key-2"]
    transport = Recording(reply(401), reply(200, {"said": "yes"}))
    provider = Probe("probe", ProbeSettings(), secret=lambda: keys.pop(0), transport=transport)
    assert (await provider.ask("GET", "/thing", Said)).attempt.outcome is Outcome.AUTH
    assert (await provider.ask("GET", "/thing", Said)).attempt.outcome is Outcome.OK
    await provider.close()
    assert [request.headers["x-key"] for request in transport.asked] == ["old-key-1", "new-key-2"]


def test_a_fingerprint_changes_with_key_and_address_and_betrays_neither() -> None:
    def of(key: str, **settings: Any) -> str:
        return Probe("probe", ProbeSettings(**settings), secret=lambda: key).fingerprint()

    prints = {of("key-one"), of("key-two"), of("key-one", base_url="https://other.example")}
    assert len(prints) == 3 and of("key-one") in prints
    assert not any("key" in it or "other" in it for it in prints)


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example/v1",
        "ftp://api.example",
        "api.example",
        "https://",
        "https://user:word@api.example",
        "https://api.example/#x",
        "https://api.example/?x=1",
        "https://api.example:99999",
        "https://api example",
        "https://b" + "a" * 64 + ".example",
        "https://a..example",
        "https://exämple.example",
        "https://[::1",
    ],
)
def test_an_address_that_would_give_the_key_away_or_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        ProbeSettings(base_url=address)


@pytest.mark.parametrize(
    "address", ["https://api.example/v1/", "http://127.0.0.1:8080", "http://localhost:1/x", "http://[::1]:9/api"]
)
def test_a_good_address_loses_its_last_slash(address: str) -> None:
    assert ProbeSettings(base_url=address).base_url == address.rstrip("/")


async def test_a_proxy_of_the_environment_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://proxy.example:1")
    async with probe() as provider:
        attempt = (await provider.ask("POST", "/thing", Said, effect=Effect.ONCE)).attempt
    assert (attempt.outcome, attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "proxy" in attempt.detail


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return _certificate(tmp_path_factory.mktemp("tls"), "127.0.0.1")


async def over_tls(certificate: Certificate, **settings: Any) -> tuple[Answer[Said], RawServer]:
    server = RawServer([said(200, {"said": "yes"})])
    async with (
        serving(server, tls=certificate.server),
        probe(base_url=f"https://127.0.0.1:{server.port}", **settings) as provider,
    ):
        return await provider.ask("POST", "/thing", Said, effect=Effect.ONCE), server


async def test_a_server_that_proves_its_name_is_given_the_key(ours: Certificate) -> None:
    answer, _ = await over_tls(ours, ca_file=ours.file)
    assert answer.attempt.outcome is Outcome.OK


async def test_a_server_nobody_vouches_for_is_given_nothing(ours: Certificate) -> None:
    answer, server = await over_tls(ours)
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "certificate is not valid" in answer.attempt.detail and not server.requests


async def test_a_file_of_authorities_that_cannot_be_used_is_named(ours: Certificate, tmp_path: Path) -> None:
    answer, server = await over_tls(ours, ca_file=tmp_path / "none.pem")
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.AUTH, Applied.NO)
    assert "none.pem cannot be used: No such file" in answer.attempt.detail and not server.connections
