"""Faults, log and manners that all HTTP servers of the sandbox share, seen from a raw client."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from aicmo.errors import InvalidInput, NotFound
from aicmo.sandbox import KEYS, Fault, RunningSandbox, read_http_log

Ask = Callable[..., httpx.Response]

NAMES = ["apollo", "dropcontact", "airtable", "webhook"]
PATIENCE_S = 10.0
BUSY = {"status": 429, "headers": {"Retry-After": "7"}, "body": '{"message": "slow down"}'}
OK_BODY = b'{"ok":true}'


@pytest.fixture
def post(sandbox: RunningSandbox) -> Iterator[Callable[..., httpx.Response]]:
    """Post to the webhook over a connection of one's own."""
    with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
        yield lambda **more: client.post(sandbox.http["webhook"].base_url + "/x", content="hello", **more)


def test_base_addresses_end_as_the_real_ones_do(sandbox: RunningSandbox) -> None:
    ends = {name: where.base_url.removeprefix(f"http://127.0.0.1:{where.port}") for name, where in sandbox.http.items()}

    assert ends == {
        **{"apollo": "/api/v1", "dropcontact": "/v1", "airtable": "/v0"},
        **{"webhook": "/hook", "site": "", "oauth": "/token"},
    }
    assert sandbox.keys == KEYS


# (what happens; what the client gets: an exception, or the status and the body; how many posts took effect)
TABLE: list[tuple[Fault, type[Exception] | tuple[int, bytes], int]] = [
    (Fault("connect", "refuse", server="webhook"), httpx.ConnectError, 0),
    (Fault("connect", "drop", server="webhook"), httpx.TransportError, 0),
    (Fault("connect", "hang", server="webhook"), httpx.ReadTimeout, 0),
    (Fault("request", "drop"), httpx.TransportError, 0),
    (Fault("request", "hang"), httpx.ReadTimeout, 0),
    (Fault("request", "reply", **BUSY), (429, BUSY["body"].encode()), 0),
    (Fault("response", "drop"), httpx.TransportError, 1),
    (Fault("response", "hang"), httpx.ReadTimeout, 1),
    (Fault("response", "reply", **BUSY), (429, BUSY["body"].encode()), 1),
    (Fault("response", "cut", body_bytes=3), httpx.RemoteProtocolError, 1),
    (Fault("response", "cut", body_bytes=10**6), httpx.RemoteProtocolError, 1),
    (Fault("request", "slow", seconds=0.01), (200, OK_BODY), 1),
    (Fault("response", "slow", seconds=0.01), (200, OK_BODY), 1),
    (Fault("connect", "slow", server="webhook", seconds=0.01), (200, OK_BODY), 1),
]


@pytest.mark.parametrize(
    ("fault", "expected", "effects"), TABLE, ids=[f"{f.phase}-{f.action}-{f.body_bytes}" for f, *_ in TABLE]
)
def test_a_fault_looks_as_the_table_says(
    sandbox: RunningSandbox,
    post: Callable[..., httpx.Response],
    fault: Fault,
    expected: type[Exception] | tuple[int, bytes],
    effects: int,
) -> None:
    sandbox.set_faults([fault])
    timeout = 0.2 if fault.action == "hang" else PATIENCE_S

    if isinstance(expected, tuple):
        answer = post(timeout=timeout)
        assert (answer.status_code, answer.content) == expected
        assert answer.headers.get("retry-after") == ("7" if expected[0] == 429 else None)
    else:
        with pytest.raises(expected):
            post(timeout=timeout)

    rows = sandbox.http_log()
    assert sum(row.effect == "posted" for row in rows) == effects
    if fault.phase != "connect":
        assert [row.fault for row in rows] == [f"{fault.phase} {fault.action}"]
        assert [row.status for row in rows] == [200 if effects else 0]


@pytest.mark.parametrize("phase", ["request", "response"])
def test_rubbish_is_a_200_that_says_json_and_is_not(
    sandbox: RunningSandbox, post: Callable[..., httpx.Response], phase: str
) -> None:
    sandbox.set_faults([Fault(phase, "rubbish")])
    answer = post()

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError):
        answer.json()


def test_a_huge_answer_has_its_size_and_no_length_before(
    sandbox: RunningSandbox, post: Callable[..., httpx.Response]
) -> None:
    sandbox.set_faults([Fault("request", "huge", megabytes=3)])
    answer = post()

    assert "content-length" not in answer.headers
    assert len(answer.content) == 3 * 1024 * 1024
    assert set(answer.json()["person"]) == {"x"}


def test_a_client_that_leaves_a_huge_answer_harms_nobody(
    sandbox: RunningSandbox, post: Callable[..., httpx.Response]
) -> None:
    sandbox.set_faults([Fault("request", "huge", megabytes=2000, times=1)])
    with httpx.stream("POST", sandbox.http["webhook"].base_url, timeout=PATIENCE_S, trust_env=False) as answer:
        assert next(answer.iter_raw())

    assert post().status_code == 200


def test_a_fault_is_for_its_server_and_path(sandbox: RunningSandbox, ask: Ask) -> None:
    sandbox.set_faults([Fault("request", "reply", server="apollo", path="*/people/*", status=503)])

    assert ask("apollo", "GET", "/auth/health").status_code == 200
    assert ask("apollo", "POST", "/people/match", json={}).status_code == 503
    assert ask("dropcontact", "GET", "/account/credits").status_code == 200


@pytest.mark.parametrize("name", NAMES)
def test_every_server_can_refuse_and_come_back_on_its_port(sandbox: RunningSandbox, name: str, ask: Ask) -> None:
    where = sandbox.http[name]
    sandbox.set_faults([Fault("connect", "refuse", server=name)])
    assert not sandbox.status().http[name].listening
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((where.host, where.port), timeout=PATIENCE_S)

    sandbox.set_faults([])
    socket.create_connection((where.host, where.port), timeout=PATIENCE_S).close()


@pytest.mark.parametrize("name", NAMES)
def test_rubbish_harms_nobody_else(sandbox: RunningSandbox, name: str, ask: Ask) -> None:
    where = (sandbox.http[name].host, sandbox.http[name].port)
    bodies = (b"{", b"[]", b"null", b'"\\ud800"', b"[" * 100_000, b"\xff\xfe")
    for rubbish in (b"\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 100_000):
        with socket.create_connection(where, timeout=PATIENCE_S) as vandal:
            vandal.sendall(rubbish)
    for path in ("", "/people/match", "/people/bulk_match", "/enrich/all", "/appSandboxAAAAAAA/Contacts"):
        for body in bodies:
            assert ask(name, "POST", path, content=body).status_code != 500


def test_the_line_is_in_the_log_before_the_answer_leaves(sandbox: RunningSandbox) -> None:
    where = sandbox.http["webhook"]
    for number in range(1, 20):
        with socket.create_connection((where.host, where.port), timeout=PATIENCE_S) as client:
            client.sendall(b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
            assert client.recv(1)
            assert len(sandbox.http_log()) == number


def test_the_webhook_keeps_what_was_posted_and_no_credentials(
    sandbox: RunningSandbox, post: Callable[..., httpx.Response]
) -> None:
    post(headers={"X-Signature": "abc", "Authorization": "Bearer canary"})

    [row] = sandbox.http_log()
    assert (row.server, row.method, row.path, row.status) == ("webhook", "POST", "/hook/x", 200)
    assert (row.effect, row.body, row.headers["x-signature"]) == ("posted", "hello", "abc")
    assert "canary" not in (sandbox.folder / "http.ndjson").read_text()


def test_no_key_is_ever_written_down(sandbox: RunningSandbox, ask: Ask) -> None:
    for name, path in (("apollo", "/auth/health"), ("dropcontact", "/account/credits"), ("airtable", "/meta/whoami")):
        ask(name, "GET", path, params={"api_key": sandbox.keys[name]})

    written = (sandbox.folder / "http.ndjson").read_text() + (sandbox.folder / "sandbox.log").read_text()
    assert len(sandbox.http_log()) == 3
    assert not any(key in written for key in sandbox.keys.values())


def test_reset_brings_the_providers_back_as_they_were(sandbox: RunningSandbox, ask: Ask) -> None:
    sandbox.set_account("dropcontact", credits=3)
    assert ask("dropcontact", "GET", "/account/credits").json() == {"credits": 3}

    sandbox.reset()

    assert sandbox.http_log() == []
    assert ask("dropcontact", "GET", "/account/credits").json() == {"credits": 1500}


@pytest.mark.parametrize(
    ("server", "settings"),
    [
        ("smtp-a", {}),
        ("apollo", {"colour": "red"}),
        ("apollo", {"credits": "many"}),
        ("apollo", {"credits": True}),
        ("airtable", {"scopes": None}),
        ("dropcontact", {"ready_after_s": "soon"}),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    sandbox: RunningSandbox, server: str, settings: dict[str, object]
) -> None:
    with pytest.raises(InvalidInput):
        sandbox.set_account(server, **settings)


def test_a_connection_carries_many_requests(sandbox: RunningSandbox, ask: Ask) -> None:
    ask("webhook", "POST", "/x")
    before = sandbox.status().http["webhook"].connections
    for _ in range(5):
        ask("webhook", "POST", "/x")

    assert sandbox.status().http["webhook"].connections == before


def test_a_slow_answer_holds_up_nobody_else(sandbox: RunningSandbox, ask: Ask) -> None:
    sandbox.set_faults([Fault("response", "slow", server="webhook", seconds=3600)])
    where = sandbox.http["webhook"]
    with socket.create_connection((where.host, where.port), timeout=PATIENCE_S) as waiting:
        waiting.sendall(b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        assert ask("apollo", "GET", "/auth/health").status_code == 200


def test_a_folder_where_no_sandbox_was_has_no_requests_to_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    with pytest.raises(NotFound):
        read_http_log(folder)
    row = {
        "server": "webhook",
        "method": "POST",
        "path": "/",
        "at": "2026-01-01T00:00:00.000Z",
        "status": 200,
        "on": [],
    }
    (folder / "http.ndjson").write_text(json.dumps(row) + "\n" + json.dumps(row)[:20])
    assert len(read_http_log(folder)) == 1


def test_a_server_that_refused_for_a_while_comes_back(sandbox: RunningSandbox, ask: Ask) -> None:
    sandbox.set_faults([Fault("connect", "refuse", server="apollo", until_s=0.2)])
    where = sandbox.http["apollo"]
    deadline = time.monotonic() + PATIENCE_S
    while not sandbox.status().http["apollo"].listening:
        assert time.monotonic() < deadline
    socket.create_connection((where.host, where.port), timeout=PATIENCE_S).close()
