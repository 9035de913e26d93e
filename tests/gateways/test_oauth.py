"""Access tokens: renewed once for everybody, never lost to a bad day, and taken away only by the server's own word."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import ManualClock, middle

from aicmo.errors import AuthNeeded, ProviderUnavailable, StoreReadOnly
from aicmo.gateways.oauth import OAuthSettings, TokenKeeper
from aicmo.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, Fault, RunningSandbox, start_sandbox
from aicmo.token_file import TokenFile
from aicmo.token_state import Tokens

SEED = "seed-of-the-configuration"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    running.reset()
    return running


def keeper_at(url: str, folder: Path, **more: Any) -> TokenKeeper:
    """One that asks ``url`` over real sockets, and keeps its tokens in ``folder``."""
    settings = OAuthSettings(token_url=url, client_id=CLIENT_ID)
    seed = more.pop("seed", REFRESH_TOKEN)
    values = {"seed": lambda: seed, "client_secret": lambda: CLIENT_SECRET, **more}
    return TokenKeeper("inbox", settings, TokenFile(folder, "inbox"), **values)


@asynccontextmanager
async def keeping(sandbox: RunningSandbox, folder: Path, **more: Any) -> AsyncIterator[TokenKeeper]:
    keeper = keeper_at(sandbox.http["oauth"].base_url, folder, **more)
    try:
        yield keeper
    finally:
        await keeper.close()


def answered(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[dict[str, str]]]:
    """A server that gives these answers in turn, the last one for ever; and the forms it was sent."""
    forms: list[dict[str, str]] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        forms.append(dict(httpx.QueryParams(request.content.decode())))
        given = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(given, Exception):
            raise given
        return httpx.Response(given.status_code, headers=given.headers, content=given.content)

    return httpx.MockTransport(answer), forms


def given(access_token: str = "first", **more: object) -> httpx.Response:
    return httpx.Response(200, json={"access_token": access_token, "token_type": "Bearer", "expires_in": 3600, **more})


def refusal(error: str, status: int = 400, **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": error, "error_description": f"No: {SEED}"}, headers=headers)


@asynccontextmanager
async def scripted(
    folder: Path, *answers: httpx.Response | Exception, **more: Any
) -> AsyncIterator[tuple[TokenKeeper, list[dict[str, str]], ManualClock]]:
    clock = more.pop("clock", None) or ManualClock()
    transport, forms = answered(*answers)
    values = {"seed": SEED, "clock": clock, "rng": middle, "transport": transport, **more}
    keeper = keeper_at("https://login.example/token", folder, **values)
    try:
        yield keeper, forms, clock
    finally:
        await keeper.close()


def kept(folder: Path) -> Tokens:
    return TokenFile(folder, "inbox").load()


# --- once for everybody -----------------------------------------------------------------------------------------------


def _one_process(url: str, folder: Path, begin: Any, got: Any) -> None:
    async def all_at_once() -> list[str]:
        keeper = keeper_at(url, folder)
        try:
            return list(await asyncio.gather(*(keeper.access_token() for _ in range(20))))
        finally:
            await keeper.close()

    begin.wait()
    got.put(asyncio.run(all_at_once()))


def test_twenty_callers_in_each_of_three_processes_make_one_refresh(sandbox: RunningSandbox, tmp_path: Path) -> None:
    sandbox.set_faults([Fault("request", "slow", server="oauth", seconds=0.3)])  # all of them come meanwhile
    spawn = multiprocessing.get_context("spawn")
    begin, got = spawn.Barrier(3), spawn.Queue()
    arguments = (sandbox.http["oauth"].base_url, tmp_path / "tokens", begin, got)
    processes = [spawn.Process(target=_one_process, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    tokens = [token for _ in processes for token in got.get(timeout=60)]
    for process in processes:
        process.join(60)
    got.close()
    got.join_thread()
    assert len(tokens) == 60 and len(set(tokens)) == 1
    assert [row.effect for row in sandbox.http_log()] == ["refreshed"]


async def test_a_token_that_nears_its_end_is_renewed_beside_the_work(tmp_path: Path) -> None:
    async with scripted(tmp_path, given("first"), given("second")) as (keeper, forms, clock):
        assert await keeper.access_token() == "first"
        clock.advance(3600 - 301)
        assert await keeper.access_token() == "first" and len(forms) == 1
        clock.advance(2)
        assert await keeper.access_token() == "first"  # it still holds, and nobody waits
        await keeper.close()
        assert await keeper.access_token() == "second" and len(forms) == 2


async def test_what_another_process_renewed_is_taken_over(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        scripted(tmp_path, given("first"), clock=clock) as (ours, asked_by_us, _),
        scripted(tmp_path, given("second"), clock=clock) as (theirs, _, _),
    ):
        assert await ours.access_token() == "first"
        clock.advance(4000)
        assert await theirs.access_token() == "second"
        assert await ours.access_token() == "second" and len(asked_by_us) == 1


async def test_a_token_that_holds_waits_for_no_server_and_no_lock(tmp_path: Path) -> None:
    async with scripted(tmp_path, given("first")) as (keeper, _, clock):
        await keeper.access_token()
        clock.advance(3400)
        with TokenFile(tmp_path, "inbox").hold() as mine:
            assert mine
            assert await keeper.access_token() == "first"
            await keeper.close()
        clock.advance(400)
        with TokenFile(tmp_path, "inbox").hold(), pytest.raises(ProviderUnavailable, match="too long"):
            await keeper.access_token()


# --- the refresh token ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["", None, " ", 7, "missing", "a\nb"])
async def test_an_answer_without_a_refresh_token_never_replaces_the_one_there_is(answer: Any, tmp_path: Path) -> None:
    more = {} if answer == "missing" else {"refresh_token": answer}
    async with scripted(tmp_path, given("first", refresh_token="r1"), given("second", **more)) as (keeper, forms, _):
        await keeper.access_token()
        assert (await keeper.refresh()).refresh_token == "r1"
        await keeper.refresh()
    assert [form["refresh_token"] for form in forms] == [SEED, "r1", "r1"]
    assert kept(tmp_path).refresh_token == "r1"


@pytest.mark.parametrize("answer", ["same", "missing", "empty", "null"])
async def test_a_server_that_does_not_rotate_is_asked_with_the_same_token(
    answer: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sandbox.set_account("oauth", refresh=answer)
    async with keeping(sandbox, tmp_path) as keeper:
        assert await keeper.access_token() != (await keeper.refresh()).access_token
    assert kept(tmp_path).refresh_token == ""
    assert REFRESH_TOKEN not in (tmp_path / "inbox.json").read_text()  # the configured one is not copied


async def test_a_refresh_token_is_on_the_disk_before_its_access_token_is_anybodys(tmp_path: Path) -> None:
    class Disk(TokenFile):
        full = False

        def save(self, tokens: Tokens) -> None:
            if self.full and tokens.access_token:
                raise StoreReadOnly("Tokens cannot be kept: no space left.")
            super().save(tokens)

    disk = Disk(tmp_path, "inbox")
    disk.full = True
    transport, forms = answered(given("first", refresh_token="r1"), refusal("invalid_grant"))
    settings = OAuthSettings(token_url="https://login.example/token", client_id="c")
    keeper = TokenKeeper("inbox", settings, disk, seed=lambda: SEED, transport=transport)
    with pytest.raises(ProviderUnavailable, match="no space left"):
        await keeper.access_token()
    disk.full = False
    assert await keeper.access_token() == "first"  # and nothing was lost
    assert (kept(tmp_path).refresh_token, len(forms)) == ("r1", 1)
    await keeper.close()


async def test_nothing_is_asked_when_the_answer_could_not_be_kept(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    folder.write_text("a file where the folder should be")
    async with scripted(folder, given()) as (keeper, forms, _):
        with pytest.raises(ProviderUnavailable):
            await keeper.access_token()
    assert forms == []


async def test_a_cancelled_caller_loses_no_refresh_token(sandbox: RunningSandbox, tmp_path: Path) -> None:
    sandbox.set_faults([Fault("response", "slow", server="oauth", seconds=0.2)])
    async with keeping(sandbox, tmp_path) as keeper:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await keeper.access_token()
    assert kept(tmp_path).refresh_token == f"{REFRESH_TOKEN}-1"


async def test_another_configured_refresh_token_is_a_new_beginning(tmp_path: Path) -> None:
    async with scripted(tmp_path, given("first", refresh_token="r1")) as (keeper, _, _):
        await keeper.access_token()
    async with scripted(tmp_path, given("second")) as (keeper, forms, _):
        assert await keeper.access_token() == "first" and forms == []
    async with scripted(tmp_path, given("third"), seed="another") as (keeper, forms, _):
        assert await keeper.access_token() == "third"
    assert forms[0]["refresh_token"] == "another"


async def test_a_kept_refresh_token_needs_no_configured_one_any_more(tmp_path: Path) -> None:
    async with scripted(tmp_path, given("first", refresh_token="r1")) as (keeper, _, _):
        await keeper.access_token()

    def gone() -> str:
        raise AuthNeeded("No refresh token for inbox: environment variable R has none.")

    transport, forms = answered(given("second"))
    keeper = keeper_at("https://login.example/token", tmp_path, transport=transport)
    keeper._fetch_seed = gone
    assert (await keeper.refresh()).access_token == "second" and forms[0]["refresh_token"] == "r1"
    await keeper.close()


# --- what passes, and what does not -----------------------------------------------------------------------------------


def _somebody_elses_certificate() -> httpx.ConnectError:
    error, wrong = httpx.ConnectError("TLS failed"), ssl.SSLCertVerificationError(1, "certificate verify failed")
    wrong.verify_message = "self-signed certificate"
    error.__cause__ = wrong
    return error


PASSING = {
    "500": httpx.Response(500, text="oops"),
    "503": httpx.Response(503, headers={"retry-after": "60"}),
    "429": httpx.Response(429, json={"error": "slow_down"}),
    "no network": httpx.ConnectError("Name or service not known"),
    "timeout": httpx.ReadTimeout("too late"),
    "somebody else's certificate": _somebody_elses_certificate(),
    "429 that says invalid_grant": refusal("invalid_grant", 429),
    "captive portal": httpx.Response(200, text="<html>Please sign in to the hotel</html>"),
    "redirect": httpx.Response(302, headers={"location": "https://hotel.example/"}),
    "forbidden by a proxy": httpx.Response(403, text="<html>no</html>"),
    "401 without a word": httpx.Response(401),
    "an error of the server's own": refusal("temporarily_unavailable"),
    "half an answer": httpx.Response(200, json={"refresh_token": "r2"}),
    "a token that would break a line": given("a\r\nb"),
    "a list": httpx.Response(200, json=["invalid_grant"]),
    "5xx that says invalid_grant": refusal("invalid_grant", 502),
}


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
async def test_a_bad_day_of_the_server_takes_no_sign_in_away(
    answer: httpx.Response | Exception, tmp_path: Path
) -> None:
    answers = (given("first", refresh_token="r1"), answer, given("second"))
    async with scripted(tmp_path, *answers) as (keeper, forms, clock):
        await keeper.access_token()
        clock.advance(3500)
        assert await keeper.access_token() == "first"
        await keeper.close()
        assert await keeper.access_token() == "first"  # still good, and the server is left alone for a while
        assert len(forms) == 2 and kept(tmp_path).standing.signed_in is True
        clock.advance(100)
        assert await keeper.access_token() == "second"
    assert [form["refresh_token"] for form in forms] == [SEED, "r1", "r1"]


@pytest.mark.parametrize("answer", PASSING.values(), ids=PASSING)
async def test_without_a_token_a_bad_day_is_unavailable_and_never_auth(
    answer: httpx.Response | Exception, tmp_path: Path
) -> None:
    async with scripted(tmp_path, answer) as (keeper, forms, _):
        for _ in range(3):
            with pytest.raises(ProviderUnavailable) as raised:
                await keeper.access_token()
        assert len(forms) == 1 and raised.value.retryable and SEED not in str(raised.value)
    assert kept(tmp_path).standing.needs_person is False


@pytest.mark.parametrize(
    ("error", "status", "trouble"),
    [
        ("invalid_grant", 400, "sign_in"),
        ("invalid_grant", 401, "sign_in"),
        ("invalid_grant", 200, "sign_in"),
        ("interaction_required", 400, "sign_in"),
        ("invalid_client", 401, "oauth_client"),
        ("unauthorized_client", 400, "oauth_client"),
        ("invalid_scope", 400, "oauth_client"),
    ],
)
async def test_only_the_servers_own_word_ends_a_grant(error: str, status: int, trouble: str, tmp_path: Path) -> None:
    async with scripted(tmp_path, refusal(error, status)) as (keeper, forms, _):
        for _ in range(5):
            with pytest.raises(AuthNeeded, match=error):
                await keeper.access_token()
        assert len(forms) == 1
    assert kept(tmp_path).trouble == trouble and kept(tmp_path).standing.signed_in is False
    assert SEED not in (tmp_path / "inbox.json").read_text()


async def test_what_was_set_right_is_tried_at_once_by_the_next_process(tmp_path: Path) -> None:
    async with scripted(tmp_path, refusal("invalid_client")) as (keeper, _, clock):
        with pytest.raises(AuthNeeded):
            await keeper.access_token()
    async with scripted(tmp_path, given("first"), clock=clock) as (keeper, _, _):
        assert await keeper.access_token() == "first"
    assert kept(tmp_path).trouble == ""


@pytest.mark.parametrize(
    ("expires_in", "left_s"),
    [(3600, 3600), ("3599", 3599), (None, 3600), (-5, 3600), ("soon", 3600), (True, 3600), (1e30, 366 * 86_400)],
)
async def test_a_life_that_no_token_has_is_not_believed(expires_in: object, left_s: int, tmp_path: Path) -> None:
    async with scripted(tmp_path, given("first", expires_in=expires_in)) as (keeper, _, clock):
        await keeper.access_token()
        assert kept(tmp_path).expires_at == clock.now() + timedelta(seconds=left_s)


async def test_a_damaged_file_is_said_to_be_one_and_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / "inbox.json").write_text('{"version": 1, "refresh_token": "r1-can')
    async with scripted(tmp_path, given()) as (keeper, forms, _):
        with pytest.raises(AuthNeeded, match=r"inbox.json is damaged\. Remove it") as raised:
            await keeper.access_token()
    assert forms == [] and "r1-can" not in str(raised.value) and raised.value.__cause__ is None


# --- killed -----------------------------------------------------------------------------------------------------------

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[4])
import aicmo.token_file
from test_oauth import keeper_at

def killed_at(when, name):
    real = getattr(os, name)
    def die(*arguments, **named):
        if name != when:
            return real(*arguments, **named)
        if name == "replace" and b"access-" not in open(arguments[0], "rb").read():
            return real(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(os, name, die)

if sys.argv[3] == "replace":
    killed_at("replace", "replace")
else:
    save = aicmo.token_file.TokenFile.save
    def die(self, tokens):
        if tokens.access_token:
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, tokens)
    aicmo.token_file.TokenFile.save = die
asyncio.run(keeper_at(sys.argv[1], Path(sys.argv[2])).access_token())
"""


def killed(sandbox: RunningSandbox, folder: Path, when: str) -> None:
    arguments = [sandbox.http["oauth"].base_url, str(folder), when, str(Path(__file__).parent)]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert [row.effect for row in sandbox.http_log()] == ["refreshed"]


async def test_a_refresher_killed_before_the_rename_has_lost_nothing(sandbox: RunningSandbox, tmp_path: Path) -> None:
    killed(sandbox, tmp_path, "replace")
    async with keeping(sandbox, tmp_path) as keeper:
        assert await keeper.access_token() == "access-1-of-the-sandbox"
    assert len(sandbox.http_log()) == 1 and kept(tmp_path).refresh_token == f"{REFRESH_TOKEN}-1"


async def test_a_refresher_killed_with_the_answer_in_its_hands_ends_in_an_honest_auth_or_a_new_token(
    sandbox: RunningSandbox, tmp_path: Path
) -> None:
    """Where tokens rotate, what was lost was the sign-in, and it says so; where they do not, nothing was lost."""
    killed(sandbox, tmp_path / "strict", "save")
    async with keeping(sandbox, tmp_path / "strict") as keeper:
        with pytest.raises(AuthNeeded, match=r"invalid_grant.*earlier refresh.*may have been lost"):
            await keeper.access_token()
    sandbox.reset()
    sandbox.set_account("oauth", refresh="same")
    killed(sandbox, tmp_path / "kind", "save")
    async with keeping(sandbox, tmp_path / "kind") as keeper:
        assert await keeper.access_token() == "access-2-of-the-sandbox"


# --- kept to oneself --------------------------------------------------------------------------------------------------


async def test_the_file_is_its_owners_alone_and_no_repr_tells_of_it(sandbox: RunningSandbox, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tokens"
    async with keeping(sandbox, folder) as keeper:
        tokens = await keeper.refresh()
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        "inbox.json": 0o600,
        "inbox.lock": 0o600,
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert tokens.refresh_token not in repr(tokens) and tokens.access_token not in repr(tokens)


def test_a_providers_name_is_no_path(tmp_path: Path) -> None:
    for name in ("../../etc/x", "a/b", "..", "."):
        file = TokenFile(tmp_path / "tokens", name)
        with file.hold():
            file.save(Tokens(access_token=name))
        assert file.load().access_token == name
    assert [each.name for each in tmp_path.iterdir()] == ["tokens"]
    assert len([each for each in (tmp_path / "tokens").iterdir() if each.suffix == ".json"]) == 4


async def test_its_fingerprint_changes_with_the_credential_and_betrays_neither(tmp_path: Path) -> None:
    prints = []
    for seed, secret in (("a", "x"), ("a", "x"), ("b", "x"), ("b", "y")):
        async with scripted(tmp_path, given(), seed=seed, client_secret=lambda secret=secret: secret) as (keeper, _, _):
            prints.append(keeper.fingerprint())
    assert prints[0] == prints[1] and len(set(prints)) == 3
    assert len(prints[0]) == 12
