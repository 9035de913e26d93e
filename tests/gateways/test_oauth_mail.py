"""The mail providers with OAuth, over the sandbox's real token, SMTP and IMAP servers."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aicmo.config import Config
from aicmo.gateways import Applied, Outcome, OutgoingMail
from aicmo.gateways.notices import notices
from aicmo.paths import Paths
from aicmo.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, USER, Fault, RunningSandbox, start_sandbox
from aicmo.services import Services
from aicmo.token_file import TokenFile

KINDS = {"smtp": "email_sending", "imap": "reply_fetching"}
MAIL = OutgoingMail("ada@example.com", "zoe@atelier.example", b"Subject: hello\r\n\r\nA line.\r\n")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    running.reset()
    monkeypatch.setenv("THE_REFRESH_TOKEN", REFRESH_TOKEN)
    monkeypatch.setenv("THE_CLIENT_SECRET", CLIENT_SECRET)
    return running


def configured(sandbox: RunningSandbox, kind: str) -> Config:
    where = sandbox.smtp["smtp-a"] if kind == "smtp" else sandbox.imap
    oauth = {
        "token_url": sandbox.http["oauth"].base_url,
        "client_id": CLIENT_ID,
        "client_secret_env": "THE_CLIENT_SECRET",
        "refresh_token_env": "THE_REFRESH_TOKEN",
    }
    block = {"kind": kind, "host": where.host, "port": where.port, "security": "none", "username": USER}
    return Config.model_validate(
        {"chains": {KINDS[kind]: ["mail"]}, "providers": {"mail": {**block, "auth": "xoauth2", "oauth": oauth}}}
    )


@asynccontextmanager
async def serving(sandbox: RunningSandbox, kind: str, folder: Path) -> AsyncIterator[tuple[Services, Any]]:
    services = Services(Paths(folder / "config.toml", folder), configured(sandbox, kind))
    try:
        yield services, services.self_check.providers[0]
    finally:
        await services.aclose()


def refreshes(sandbox: RunningSandbox) -> int:
    return sum(row.effect == "refreshed" for row in sandbox.http_log())


@pytest.mark.parametrize("kind", KINDS)
async def test_it_logs_in_with_a_token_that_it_fetched_itself(
    kind: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    async with serving(sandbox, kind, tmp_path) as (_, provider):
        for _ in range(3):
            assert (await provider.check()).outcome is Outcome.OK
    assert refreshes(sandbox) == 1


async def test_mail_goes_out_and_comes_in_by_token(sandbox: RunningSandbox, tmp_path: Path) -> None:
    async def at_once() -> None:
        pass

    async with serving(sandbox, "smtp", tmp_path / "smtp") as (_, provider):
        assert (await provider.send(MAIL, before_body=at_once)).applied is Applied.YES
    sandbox.reset()
    async with serving(sandbox, "imap", tmp_path / "imap") as (_, provider):
        assert len((await provider.fetch("INBOX")).value.mails) == 3


@pytest.mark.parametrize("kind", KINDS)
async def test_a_token_withdrawn_before_its_time_is_renewed_once_and_shown_anew(
    kind: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    async with serving(sandbox, kind, tmp_path) as (_, provider):
        assert (await provider.check()).outcome is Outcome.OK
        sandbox.set_faults([_refused_login(kind, times=1)])
        assert (await provider.check()).outcome is Outcome.OK
    assert refreshes(sandbox) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mail_server_that_refuses_a_fresh_token_too_is_auth(
    kind: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sandbox.set_faults([_refused_login(kind)])
    async with serving(sandbox, kind, tmp_path) as (_, provider):
        attempt = await provider.check()
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.AUTH, Applied.NO, "auth")
    assert refreshes(sandbox) == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mail_server_in_trouble_costs_no_refresh(kind: str, sandbox: RunningSandbox, tmp_path: Path) -> None:
    reply = {"smtp": "454 4.7.0 Temporary authentication failure", "imap": "NO [UNAVAILABLE] later"}[kind]
    sandbox.set_faults([Fault("auth", "reply", server={"smtp": "smtp-a", "imap": "imap"}[kind], reply=reply)])
    async with serving(sandbox, kind, tmp_path) as (_, provider):
        for _ in range(2):
            assert (await provider.check()).outcome in (Outcome.TRANSIENT, Outcome.RATE_LIMITED)
    assert refreshes(sandbox) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "fault",
    [
        Fault("request", "reply", server="oauth", status=503),
        Fault("request", "reply", server="oauth", status=429),
        Fault("connect", "refuse", server="oauth"),
        Fault("request", "rubbish", server="oauth"),
    ],
    ids=lambda fault: f"{fault.phase} {fault.action} {fault.status or ''}",
)
async def test_a_token_server_in_trouble_is_transient_and_disconnects_nobody(
    fault: Fault, kind: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sandbox.set_faults([fault])
    async with serving(sandbox, kind, tmp_path) as (services, provider):
        attempt = await provider.check()
        assert (attempt.outcome, attempt.applied) == (Outcome.TRANSIENT, Applied.NO), attempt
        assert services.sign_ins.standings()["mail"].signed_in is None  # nobody was ever signed out


@pytest.mark.parametrize("kind", KINDS)
async def test_a_dead_grant_is_one_block_one_notice_and_one_recommendation(
    kind: str, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    sandbox.set_account("oauth", revoked=True)
    for _ in range(3):  # three programs
        async with serving(sandbox, kind, tmp_path) as (services, _):
            for _ in range(3):
                await services.self_check.check_all(early=True)
            report = services.health()
            changes = list(reversed(services.registry.events()))
    assert [(change.after, "invalid_grant" in change.why) for change in changes] == [("blocked", True)]
    assert notices(changes, services.clock.now()) == changes
    urgent = [each for each in report.recommendations if each.severity == "critical"]
    assert [(each.cause, each.provider) for each in urgent] == [("sign_in", "mail")]
    assert "Sign in again" in urgent[0].action


async def test_a_new_sign_in_is_used_as_soon_as_it_is_there(
    sandbox: RunningSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THE_REFRESH_TOKEN", "an-old-one")
    async with serving(sandbox, "smtp", tmp_path) as (services, _):
        await services.self_check.check_all()
        assert services.health().capabilities[0].status == "critical"
    monkeypatch.setenv("THE_REFRESH_TOKEN", REFRESH_TOKEN)
    async with serving(sandbox, "smtp", tmp_path) as (services, _):
        await services.self_check.check_all()
        assert services.health().capabilities[0].providers[0].state == "ok"
        assert services.health().capabilities[0].providers[0].token.signed_in is True


async def test_a_grant_that_ended_is_told_while_its_last_token_still_holds(
    sandbox: RunningSandbox, tmp_path: Path
) -> None:
    async with serving(sandbox, "smtp", tmp_path) as (services, provider):
        assert (await services.self_check.check_all())[0].attempt.outcome is Outcome.OK
        sandbox.set_account("oauth", disabled=True)
        with pytest.raises(Exception, match="invalid_client"):
            await services.token_keeper("mail").refresh()
        assert (await provider.check()).outcome is Outcome.OK
        report = services.health()
    assert report.capabilities[0].status == "warning"
    assert [each.cause for each in report.recommendations if each.severity == "critical"] == ["oauth_client"]


@pytest.mark.parametrize("kind", KINDS)
async def test_no_token_comes_out_anywhere(
    kind: str, sandbox: RunningSandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sandbox's token server says the refresh token back, and its mail servers say what they are told to."""
    caplog.set_level(logging.DEBUG)
    said = []
    async with serving(sandbox, kind, tmp_path) as (services, provider):
        said.append(repr(await provider.check()))
        tokens = TokenFile(tmp_path / "tokens", "mail").load()
        sandbox.set_faults([_refused_login(kind, saying=tokens.access_token)])
        said.append(repr(await provider.check()))
        sandbox.set_account("oauth", revoked=True)
        said += [repr(await services.self_check.check_all(early=True)), repr(services.health()), repr(services)]
        said += [repr(services.sign_ins.standings()), repr(services.registry.events())]
    left = _files_but_the_tokens(tmp_path)
    for secret in (REFRESH_TOKEN, tokens.access_token, CLIENT_SECRET):
        assert secret not in "".join(said) + caplog.text
        assert not [name for name, content in left.items() if secret.encode() in content]
    assert "invalid_grant" in "".join(said)


def _files_but_the_tokens(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.suffix != ".json"}


def _refused_login(kind: str, times: int | None = None, saying: str = "") -> Fault:
    if kind == "smtp":
        return Fault("auth", "reply", server="smtp-a", reply=f"535 5.7.8 not accepted {saying}".strip(), times=times)
    return Fault("auth", "reply", server="imap", reply=f"NO [AUTHENTICATIONFAILED] no {saying}".strip(), times=times)


def test_an_oauth_without_xoauth2_is_refused_where_it_stands() -> None:
    from aicmo.errors import ConfigInvalid
    from aicmo.services import provider_settings

    oauth = {"token_url": "https://login.example/token", "client_id": "c"}
    good = {"kind": "smtp", "host": "h.example", "username": "a", "auth": "xoauth2", "oauth": oauth}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"auth": "password"}, r"oauth: goes with auth = .xoauth2."),
        ({"username": ""}, r"oauth: goes with auth"),
        ({"oauth": {**oauth, "token_url": "http://login.example/token"}}, "oauth.token_url: must begin with https"),
        ({"oauth": {**oauth, "tokenurl": "x"}}, "oauth.tokenurl is not a setting"),
        ({"oauth": {"token_url": "https://login.example/token"}}, "oauth.client_id is missing"),
    ]
    provider_settings(Config.model_validate({"providers": {"m": good}}), "m")
    for change, said in wrong:
        with pytest.raises(ConfigInvalid, match=said):
            provider_settings(Config.model_validate({"providers": {"m": {**good, **change}}}), "m")
