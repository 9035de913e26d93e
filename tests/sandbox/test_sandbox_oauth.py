"""The token server, and the mail servers that take its access tokens."""

from __future__ import annotations

import imaplib
import smtplib
from typing import Any

import httpx
import pytest

from aicmo.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, USER, Fault, RunningSandbox


def refresh(sandbox: RunningSandbox, token: str = REFRESH_TOKEN, **more: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token, "client_id": CLIENT_ID}
    form = {**form, "client_secret": CLIENT_SECRET, **more}
    return httpx.post(sandbox.http["oauth"].base_url, data=form, trust_env=False, timeout=10)


def lets_in(sandbox: RunningSandbox, kind: str, token: str, user: str = USER) -> bool:
    shown = f"user={user}\1auth=Bearer {token}\1\1"
    if kind == "smtp":
        where = sandbox.smtp["smtp-a"]
        with smtplib.SMTP(where.host, where.port, local_hostname="client.example", timeout=10) as client:
            client.ehlo()
            try:
                return client.auth("XOAUTH2", lambda challenge=None: "" if challenge else shown)[0] == 235
            except smtplib.SMTPAuthenticationError as error:
                assert error.smtp_code == 535
                return False
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=10) as mailbox:
        try:
            return mailbox.authenticate("XOAUTH2", lambda _: shown.encode())[0] == "OK"
        except imaplib.IMAP4.error:
            return False


@pytest.mark.parametrize("kind", ["smtp", "imap"])
def test_an_access_token_lets_its_user_in_until_it_ends(kind: str, sandbox: RunningSandbox) -> None:
    token = refresh(sandbox).json()["access_token"]
    assert lets_in(sandbox, kind, token)
    assert not lets_in(sandbox, kind, "another")
    assert not lets_in(sandbox, kind, token, user="eve@example.com")
    sandbox.set_account("oauth", life_s=0.0)
    assert not lets_in(sandbox, kind, refresh(sandbox, f"{REFRESH_TOKEN}-1").json()["access_token"])
    sandbox.set_account("oauth", revoked=True)
    assert not lets_in(sandbox, kind, token)


def test_a_refresh_token_works_once_and_its_second_use_ends_the_grant(sandbox: RunningSandbox) -> None:
    first = refresh(sandbox).json()
    second = refresh(sandbox, first["refresh_token"]).json()
    assert len({REFRESH_TOKEN, first["refresh_token"], second["refresh_token"]}) == 3
    again = refresh(sandbox, first["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert refresh(sandbox, second["refresh_token"]).json()["error"] == "invalid_grant"
    assert not lets_in(sandbox, "smtp", second["access_token"])
    assert [row.effect for row in sandbox.http_log()] == ["refreshed", "refreshed", "", ""]


@pytest.mark.parametrize(
    ("answer", "given"),
    [("same", {"refresh_token": REFRESH_TOKEN}), ("empty", {"refresh_token": ""}), ("missing", {})],
)
def test_an_answer_may_bring_no_refresh_token(answer: str, given: dict[str, Any], sandbox: RunningSandbox) -> None:
    sandbox.set_account("oauth", refresh=answer)
    for _ in range(2):
        told = refresh(sandbox).json()
        assert {key: told[key] for key in told if key == "refresh_token"} == given


def test_a_wrong_client_gets_nothing(sandbox: RunningSandbox) -> None:
    assert refresh(sandbox, client_secret="wrong").status_code == 401
    assert refresh(sandbox, grant_type="password").json()["error"] == "unsupported_grant_type"
    assert refresh(sandbox).status_code == 200  # and nothing was spent


def test_it_fails_as_the_script_says_and_a_lost_answer_is_spent_all_the_same(sandbox: RunningSandbox) -> None:
    sandbox.set_faults([Fault("request", "reply", server="oauth", status=503, times=1)])
    assert refresh(sandbox).status_code == 503
    sandbox.set_faults([Fault("response", "drop", server="oauth", times=1)])
    with pytest.raises(httpx.TransportError):
        refresh(sandbox)
    assert refresh(sandbox).json()["error"] == "invalid_grant"
