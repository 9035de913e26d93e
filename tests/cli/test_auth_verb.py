"""``aicmo auth``: how providers' OAuth tokens stand, and a new one on a person's word."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import OAUTH, CommandLine, config_text, write_config

from aicmo.sandbox import CLIENT_SECRET, REFRESH_TOKEN, Fault, RunningSandbox

CHAINS = '[chains]\nreply_fetching = ["mailbox"]\n'


@pytest.fixture
def with_mailbox(home: Path, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch) -> RunningSandbox:
    """A home whose one provider reads mail with OAuth, its secrets in the environment."""
    text = CHAINS + OAUTH.format(url=sandbox.http["oauth"].base_url)
    for key, name, secret in (("refresh_token", "R", REFRESH_TOKEN), ("client_secret", "C", CLIENT_SECRET)):
        monkeypatch.setenv(name, secret)
        text = text.replace(f'{key}_cmd = ["echo", "{secret}"]', f'{key}_env = "{name}"')
    write_config(home / "config.toml", text.replace("security", f"port = {sandbox.imap.port}\nsecurity"))
    return sandbox


def test_nobody_knows_of_a_sign_in_that_was_never_tried(aicmo: CommandLine, with_mailbox: RunningSandbox) -> None:
    (row,) = aicmo("auth", "list", "--json").document
    assert row == {
        **dict.fromkeys(("signed_in", "expires_at", "expires_in_s", "refreshed_at", "trouble")),
        "provider": "mailbox",
    }
    assert with_mailbox.http_log() == []


def test_a_token_is_renewed_and_its_end_is_told_everywhere(aicmo: CommandLine, with_mailbox: RunningSandbox) -> None:
    renewed = aicmo("auth", "refresh", "mailbox", "--json").document
    assert renewed["status"] == "done"
    (row,) = aicmo("auth", "list", "--json").document
    assert row["signed_in"] is True and row["expires_at"] == renewed["expires_at"] and 3500 < row["expires_in_s"] < 3601
    told = aicmo("health", "--json", code=0).document["capabilities"][0]["providers"][0]
    assert told["token"]["expires_at"] == renewed["expires_at"] and told["token"]["signed_in"] is True
    assert "token expires in 5" in aicmo("health", "--status").out
    assert len(with_mailbox.http_log()) == 1


def test_a_person_may_ask_again_and_again(aicmo: CommandLine, with_mailbox: RunningSandbox) -> None:
    for _ in range(3):
        aicmo("auth", "refresh", "mailbox")
    assert [row.effect for row in with_mailbox.http_log()] == ["refreshed"] * 3


def test_its_exit_code_says_whether_it_passes_or_a_person_is_needed(
    aicmo: CommandLine, with_mailbox: RunningSandbox
) -> None:
    with_mailbox.set_faults([Fault("request", "reply", server="oauth", status=503)])
    passing = aicmo("auth", "refresh", "mailbox", "--json", code=7).error
    assert passing["retryable"] is True and "503" in passing["message"]
    with_mailbox.set_faults([])
    with_mailbox.set_account("oauth", revoked=True)
    ended = aicmo("auth", "refresh", "mailbox", "--json", code=4).error
    assert ended["retryable"] is False and "invalid_grant" in ended["message"]
    (row,) = aicmo("auth", "list", "--json").document
    assert row["signed_in"] is False and "invalid_grant" in row["trouble"]
    assert aicmo("auth", "refresh", "nobody", "--json", code=3).error["hint"] == "There are: mailbox."


def test_without_any_oauth_there_is_nothing_to_list(aicmo: CommandLine, home: Path) -> None:
    write_config(home / "config.toml", config_text())
    assert aicmo("auth", "list", "--json").document == []
    assert aicmo("auth", "refresh", "smtp-a", code=3).err


def test_no_token_leaves_its_folder(
    aicmo: CommandLine, with_mailbox: RunningSandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AICMO_DEBUG", "1")
    said = ""
    for revoked in (False, True):
        with_mailbox.set_account("oauth", revoked=revoked)
        for words in (
            ["auth", "refresh", "mailbox"],
            ["auth", "list"],
            ["auth", "list", "--json"],
            ["health", "--json"],
            ["health"],
            ["config", "show", "--json"],
        ):
            answer = aicmo(*words, code=None)
            said += answer.out + answer.err
    monkeypatch.setattr("aicmo.services.Services.health", lambda self, *_, **__: self.token_keeper("mailbox") / 0)
    answer = aicmo("health", code=None)
    said += answer.out + answer.err
    assert "Traceback" in said and "invalid_grant" in said
    kept = home / "data" / "tokens"
    left = {each: each.read_text("latin-1") for each in home.rglob("*") if each.is_file() and each.parent != kept}
    for secret in (REFRESH_TOKEN, CLIENT_SECRET, "access-1-of-the-sandbox"):
        assert secret not in said
        assert not [file for file, text in left.items() if secret in text]
    assert REFRESH_TOKEN in (kept / "mailbox.json").read_text()
