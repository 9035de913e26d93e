"""The IMAP adapter against a server that does what a script says, and against the sandbox's real one."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from imap_server import DROP, HANG, ScriptedMailbox
from loopback import serving

from aicmo.errors import AuthNeeded
from aicmo.gateways import Answer, Applied, Attempt, Outcome, load
from aicmo.gateways.imap_reply import judge, read_reply
from aicmo.gateways.imap_session import mailbox_name, quoted
from aicmo.gateways.inbound import MailBatch
from aicmo.gateways.providers.imap import ImapProvider, ImapSettings
from aicmo.sandbox import PASSWORD, USER, RunningSandbox, start_sandbox

SECRET = "s3cret-canary"
HELLO = b"From: zoe@atelier.example\r\nSubject: {5}\r\n\r\nA line ending in {12}\r\n* 9 FETCH (UID 9)\r\n)\r\n"
MAILS = {3: HELLO, 5: b"Subject: two\r\n\r\nb\r\n", 9: b"", 12: b"\xff\xfe\x00 not even mail ("}


def provider_for(port: int, *, secret: str = SECRET, **settings: Any) -> ImapProvider:
    values = {"host": "127.0.0.1", "port": port, "security": "none", "username": USER, "timeout_seconds": 5}
    return ImapProvider("inbox", ImapSettings.model_validate(values | settings), secret=lambda: secret)


async def fetched(
    server: ScriptedMailbox, after_uid: int = 0, uid_validity: int | None = None, limit: int = 100, **settings: Any
) -> Answer[MailBatch]:
    async with serving(server):
        return await provider_for(server.port, **settings).fetch("INBOX", after_uid, uid_validity, limit)


async def checked(server: ScriptedMailbox, **settings: Any) -> Attempt:
    async with serving(server):
        return await provider_for(server.port, **settings).check()


def batch_of(answer: Answer[MailBatch]) -> MailBatch:
    assert answer.attempt.outcome is Outcome.OK, answer.attempt
    assert answer.attempt.applied is Applied.NO
    assert answer.value is not None
    return answer.value


# --- what is fetched --------------------------------------------------------------------------------------------------


async def test_mail_comes_back_byte_by_byte_as_it_lies_there() -> None:
    batch = batch_of(await fetched(ScriptedMailbox(MAILS)))
    assert {mail.uid: mail.raw for mail in batch.mails} == MAILS
    assert {mail.received_at for mail in batch.mails} == {datetime(1996, 7, 17, 9, 44, 25, tzinfo=UTC)}
    assert (batch.uid_validity, batch.rescan, batch.last_uid, batch.more, batch.skipped) == (7, False, 12, False, ())


async def test_nothing_is_ever_marked_moved_or_deleted() -> None:
    server = ScriptedMailbox(MAILS)
    await fetched(server)
    assert [command.split(" ")[0] for command in server.seen] == [
        *("CAPABILITY", "LOGIN", "EXAMINE", "UID", "UID", "UID", "LOGOUT"),
    ]
    assert all("BODY.PEEK[]" in command for command in server.seen if "BODY" in command)


async def test_only_what_is_new_is_fetched_and_the_last_mail_not_again_and_again() -> None:
    server = ScriptedMailbox(MAILS)
    batch = batch_of(await fetched(server, 5, 7))
    assert [mail.uid for mail in batch.mails] == [9, 12]
    batch = batch_of(await fetched(server, 12, 7))  # the server names UID 12 once more
    assert (batch.mails, batch.last_uid, batch.more) == ((), 12, False)
    batch = batch_of(await fetched(ScriptedMailbox()))
    assert (batch.mails, batch.last_uid) == ((), 0)


async def test_a_batch_has_its_limit_and_says_that_there_is_more() -> None:
    server = ScriptedMailbox(MAILS)
    batch = batch_of(await fetched(server, limit=2))
    assert ([mail.uid for mail in batch.mails], batch.last_uid, batch.more) == ([3, 5], 5, True)


async def test_a_mailbox_that_was_renumbered_is_read_from_the_start_and_says_so() -> None:
    batch = batch_of(await fetched(ScriptedMailbox(MAILS, uid_validity=8), 9, 7))
    assert (batch.rescan, batch.uid_validity) == (True, 8)
    assert [mail.uid for mail in batch.mails] == list(MAILS)


async def test_a_mail_that_is_too_big_is_not_read_but_reported() -> None:
    server = ScriptedMailbox({1: b"x" * 2000, 2: b"small"})
    batch = batch_of(await fetched(server, largest_mail_bytes=1000))
    assert [mail.uid for mail in batch.mails] == [2]
    assert [(mail.uid, mail.size_bytes) for mail in batch.skipped] == [(1, 2000)]
    assert "at most 1000" in batch.skipped[0].reason
    assert batch.last_uid == 2


async def test_a_mail_the_server_cannot_give_does_not_keep_the_others_away() -> None:
    batch = batch_of(await fetched(ScriptedMailbox(MAILS, unreadable={5})))
    assert [mail.uid for mail in batch.mails] == [3, 9, 12]
    assert [(mail.uid, mail.reason) for mail in batch.skipped] == [
        (5, "The server cannot give it: message is damaged"),
    ]


async def test_a_mail_that_vanished_meanwhile_is_in_neither_list() -> None:
    answer = b"* 1 FETCH (UID 3 BODY[] {1}\r\nx)\r\n"
    server = ScriptedMailbox({3: b"x", 5: b"y"})
    server._fetch = lambda command, writer: writer.write(answer)  # type: ignore[method-assign]
    batch = batch_of(await fetched(server))
    assert ([mail.uid for mail in batch.mails], batch.skipped, batch.last_uid) == ([3], (), 5)


async def test_a_mail_without_content_is_reported() -> None:
    server = ScriptedMailbox({3: b"x"})
    server._fetch = lambda command, writer: writer.write(b"* 1 FETCH (UID 3 BODY[] NIL)\r\n")  # type: ignore[method-assign]
    batch = batch_of(await fetched(server))
    assert (batch.mails, [mail.uid for mail in batch.skipped]) == ((), [3])


async def test_news_of_other_mails_in_between_is_not_taken_for_an_answer() -> None:
    server = ScriptedMailbox({3: b"x"})
    server._fetch = lambda command, writer: writer.write(  # type: ignore[method-assign]
        b"* 4 EXISTS\r\n* 2 FETCH (FLAGS (\\Seen))\r\n* 8 FETCH (UID 99 FLAGS (\\Seen) BODY[] {1}\r\nz)\r\n"
        b'* 1 FETCH (FLAGS () UID 3 BODY[] {1}\r\nx INTERNALDATE "17-Foo-1996 02:44:25 -0700")\r\n'
    )
    batch = batch_of(await fetched(server))
    assert [(mail.uid, mail.raw, mail.received_at) for mail in batch.mails] == [(3, b"x", None)]


async def test_what_was_read_before_the_connection_broke_is_not_lost() -> None:
    server = ScriptedMailbox({1: b"a" * 5_000_000, 2: b"b" * 5_000_000}, script={"fetch": ["", DROP]})
    batch = batch_of(await fetched(server))
    assert ([mail.uid for mail in batch.mails], batch.last_uid, batch.more) == ([1], 1, True)


async def test_a_thousand_mails_in_one_go_are_no_trouble() -> None:
    mails = {uid: b"Subject: %d\r\n\r\n" % uid for uid in range(1, 1001)}
    batch = batch_of(await fetched(ScriptedMailbox(mails), limit=1000))
    assert {mail.uid: mail.raw for mail in batch.mails} == mails


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [DROP, HANG])
@pytest.mark.parametrize(
    ("verb", "phase"),
    [
        ("greeting", "connect"),
        ("login", "auth"),
        ("examine", "examine"),
        ("search", "search"),
        ("sizes", "fetch"),
        ("fetch", "fetch"),
    ],
)
async def test_a_connection_that_breaks_or_falls_silent_may_be_tried_again(verb: str, phase: str, answer: str) -> None:
    result = await fetched(ScriptedMailbox(MAILS, script={verb: answer}), timeout_seconds=0.2)
    assert (result.attempt.outcome, result.attempt.applied) == (Outcome.TRANSIENT, Applied.NO)
    assert (result.attempt.phase, result.value) == (phase, None)
    assert result.attempt.detail


async def test_nobody_listening_may_be_tried_again() -> None:
    async with serving(ScriptedMailbox()) as server:
        pass
    attempt = await provider_for(server.port).check()
    assert (attempt.outcome, attempt.phase, attempt.code) == (Outcome.TRANSIENT, "connect", "")


REFUSALS = [
    # verb, answer, outcome, code
    ("greeting", "* BYE [UNAVAILABLE] going down", Outcome.TRANSIENT, "BYE UNAVAILABLE"),
    ("greeting", "* BYE Too many connections from your IP", Outcome.RATE_LIMITED, "BYE"),
    ("greeting", "220 mail.example ESMTP", Outcome.INPUT, "BAD"),
    ("login", "NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)", Outcome.AUTH, "NO AUTHENTICATIONFAILED"),
    ("login", "NO [AUTHENTICATIONFAILED] no, and it hangs up", Outcome.AUTH, "NO AUTHENTICATIONFAILED"),
    ("login", "NO LOGIN failed.", Outcome.AUTH, "NO"),
    ("login", "NO [ALERT] Application-specific password required (Failure)", Outcome.AUTH, "NO ALERT"),
    ("login", "NO [EXPIRED] password expired", Outcome.AUTH, "NO EXPIRED"),
    ("login", "NO [UNAVAILABLE] Temporary authentication failure.", Outcome.TRANSIENT, "NO UNAVAILABLE"),
    ("login", "NO [INUSE] mailbox in use", Outcome.TRANSIENT, "NO INUSE"),
    ("login", "NO Internal error, try again later", Outcome.TRANSIENT, "NO"),
    ("login", "NO [ALERT] Too many simultaneous connections. (Failure)", Outcome.RATE_LIMITED, "NO ALERT"),
    ("login", "NO [LIMIT] ten a minute", Outcome.RATE_LIMITED, "NO LIMIT"),
    ("login", "* BYE shutting down", Outcome.TRANSIENT, "BYE"),
    ("examine", "NO [NONEXISTENT] Unknown Mailbox: INBOX (Failure)", Outcome.INPUT, "NO NONEXISTENT"),
    ("examine", "NO Mailbox doesn't exist", Outcome.INPUT, "NO"),
    ("examine", "NO [NOPERM] not yours", Outcome.AUTH, "NO NOPERM"),
    ("examine", "NO [SERVERBUG] oh", Outcome.TRANSIENT, "NO SERVERBUG"),
    ("examine", "BAD User is authenticated but not connected.", Outcome.TRANSIENT, "BAD"),
    ("examine", "BAD what?", Outcome.INPUT, "BAD"),
    ("search", "NO cannot", Outcome.TRANSIENT, "NO"),
    ("search", "NO [ALERT] Account exceeded command or bandwidth limits.", Outcome.RATE_LIMITED, "NO ALERT"),
    ("sizes", "BAD what?", Outcome.INPUT, "BAD"),
    ("fetch", "* BYE autologout", Outcome.TRANSIENT, "BYE"),
]


@pytest.mark.parametrize(("verb", "answer", "outcome", "code"), REFUSALS)
async def test_what_a_refusal_means(verb: str, answer: str, outcome: Outcome, code: str) -> None:
    result = await fetched(ScriptedMailbox(MAILS, script={verb: answer}))
    assert (result.attempt.outcome, result.attempt.code, result.attempt.applied) == (outcome, code, Applied.NO)
    assert result.attempt.detail and result.value is None


async def test_a_mailbox_without_a_uid_validity_gives_no_numbers_to_rely_on() -> None:
    result = await fetched(ScriptedMailbox(MAILS, script={"examine": "OK [READ-ONLY] opened"}))
    assert (result.attempt.outcome, result.value) == (Outcome.TRANSIENT, None)
    assert "UIDVALIDITY" in result.attempt.detail


@pytest.mark.parametrize(
    "rubbish",
    [
        b"* 1 FETCH (UID 3 BODY[] {99999999999}\r\n" + b"x" * 3_000_000,
        b"* " + b"x" * 3_000_000,
        b"* 1 EXISTS\r\n" * 20_000,
        b"* \xff\xfe FETCH\r\n",
        b"A1 OK never asked\r\n",
        b"\xff\xfe OK never asked\r\n",
    ],
    ids=lambda rubbish: repr(rubbish[:12]),
)
async def test_a_hostile_server_costs_no_more_than_the_call(rubbish: bytes, caplog: pytest.LogCaptureFixture) -> None:
    server = ScriptedMailbox({3: b"x"}, script={"fetch": rubbish})
    result = await fetched(server, timeout_seconds=0.3)
    assert (result.attempt.outcome, result.value) == (Outcome.TRANSIENT, None)
    assert not caplog.records


async def test_a_server_that_lies_about_a_size_is_cut_off() -> None:
    server = ScriptedMailbox({3: b"x" * 5_000_000}, sizes_said={3: 100})
    result = await fetched(server)
    assert result.attempt.outcome is Outcome.TRANSIENT
    assert "more than it was asked for" in result.attempt.detail


# --- who is let in ----------------------------------------------------------------------------------------------------


async def test_the_check_logs_in_says_noop_and_leaves() -> None:
    server = ScriptedMailbox(MAILS)
    attempt = await checked(server)
    assert (attempt.outcome, attempt.applied, attempt.phase) == (Outcome.OK, Applied.NO, "noop")
    assert [command.split(" ")[0] for command in server.seen] == ["CAPABILITY", "LOGIN", "NOOP", "LOGOUT"]
    assert ImapProvider.check_cost == ""


async def test_a_token_is_shown_as_the_protocol_wants_it() -> None:
    server = ScriptedMailbox()
    assert (await checked(server, auth="xoauth2")).outcome is Outcome.OK
    (said,) = [command.split(" ") for command in server.seen if command.startswith("AUTHENTICATE")]
    assert said[1] == "XOAUTH2"
    assert base64.b64decode(said[2]) == f"user={USER}\1auth=Bearer {SECRET}\1\1".encode()
    assert not any(command.startswith("LOGIN") for command in server.seen)


async def test_a_refused_token_is_told_with_what_it_lacked() -> None:
    lacked = base64.b64encode(b'{"status":"400","schemes":"Bearer","scope":"https://mail.example/"}').decode()
    attempt = await checked(ScriptedMailbox(script={"authenticate": f"+ {lacked}"}), auth="xoauth2")
    assert (attempt.outcome, attempt.phase) == (Outcome.AUTH, "auth")
    assert '"scope":"https://mail.example/"' in attempt.detail


async def test_a_server_without_initial_responses_gets_the_token_when_it_asks() -> None:
    server = ScriptedMailbox(offers="IMAP4rev1 AUTH=XOAUTH2", script={"authenticate": "+ "})
    assert (await checked(server, auth="xoauth2")).outcome is Outcome.OK
    token = base64.b64encode(f"user={USER}\1auth=Bearer {SECRET}\1\1".encode()).decode()
    assert server.seen[1:3] == ["AUTHENTICATE XOAUTH2", token]


async def test_a_server_that_takes_no_token_is_told_as_that() -> None:
    server = ScriptedMailbox(offers="IMAP4rev1")
    attempt = await checked(server, auth="xoauth2")
    assert attempt.outcome is Outcome.AUTH and "set auth to password" in attempt.detail
    assert not any("AUTHENTICATE" in command for command in server.seen)


async def test_a_server_that_takes_no_password_is_not_given_one() -> None:
    server = ScriptedMailbox(offers="IMAP4rev1 LOGINDISABLED")
    assert (await checked(server)).outcome is Outcome.AUTH
    assert not any(SECRET in command for command in server.seen)


async def test_a_password_never_leaves_unencrypted_for_another_machine() -> None:
    attempt = await provider_for(1, host="imap.example.com").check()
    assert attempt.outcome is Outcome.AUTH and "without encryption" in attempt.detail


async def test_a_password_with_a_line_break_is_not_a_second_command() -> None:
    server = ScriptedMailbox()
    attempt = await checked(server, secret="x\r\nA1 DELETE INBOX")
    assert attempt.outcome is Outcome.AUTH and server.seen == []


async def test_a_missing_secret_is_a_matter_of_configuration() -> None:
    def nowhere() -> str:
        raise AuthNeeded("No password for inbox: environment variable IMAP_PASSWORD has none.")

    server = ScriptedMailbox()
    async with serving(server):
        settings = ImapSettings(host="127.0.0.1", port=server.port, security="none", username=USER)
        attempt = await ImapProvider("inbox", settings, secret=nowhere).check()
    assert attempt.outcome is Outcome.AUTH and "IMAP_PASSWORD" in attempt.detail
    assert server.connections == 0


@pytest.mark.parametrize("auth", ["password", "xoauth2"])
async def test_a_secret_that_the_server_echoes_is_shown_nowhere(auth: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = base64.b64encode(f"user={USER}\1auth=Bearer {SECRET}\1\1".encode()).decode()
    echo = f"NO you sent {SECRET} and {token}"
    server = ScriptedMailbox(script={"login": echo, "authenticate": echo})
    attempt = await checked(server, auth=auth)
    assert attempt.outcome is Outcome.AUTH and "you sent" in attempt.detail
    for shown in (attempt.detail, caplog.text):
        assert SECRET not in shown and token not in shown


async def test_names_with_quotes_and_letters_of_other_scripts_arrive() -> None:
    server = ScriptedMailbox()
    async with serving(server):
        await provider_for(server.port, username='a"b\\c', secret='p" x').fetch("Entwürfe & mehr")
    assert r'LOGIN "a\"b\\c" "p\" x"' in server.seen
    assert 'EXAMINE "Entw&APw-rfe &- mehr"' in server.seen


async def test_a_mailbox_name_cannot_carry_a_second_command() -> None:
    server = ScriptedMailbox()
    async with serving(server):
        await provider_for(server.port).fetch("INBOX\r\nA1 DELETE INBOX")
    assert not any(command.startswith("DELETE") for command in server.seen)


def test_names_are_written_as_rfc_3501_shows() -> None:
    assert mailbox_name("~peter/mail/台北/日本語") == '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'
    assert quoted('a"b\\c') == '"a\\"b\\\\c"'


def test_what_no_rule_knows_may_be_tried_again() -> None:
    assert judge("fetch", read_reply("NO", "because")) is Outcome.TRANSIENT


async def test_a_cancelled_fetch_leaves_no_connection_behind() -> None:
    server = ScriptedMailbox(MAILS, script={"fetch": HANG})
    async with serving(server):
        running = asyncio.create_task(provider_for(server.port).fetch("INBOX"))
        while not any("BODY.PEEK" in command for command in server.seen):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_the_fingerprint_changes_with_the_secret_and_shows_it_not() -> None:
    prints = {provider_for(1, secret=secret).fingerprint() for secret in ("one", "two")}
    assert len(prints) == 2
    assert not any("one" in each or "two" in each for each in prints)


def test_it_is_in_the_table() -> None:
    assert load("imap") is ImapProvider


# --- the sandbox ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


def sandbox_provider(sandbox: RunningSandbox, secret: str = PASSWORD) -> ImapProvider:
    return provider_for(sandbox.imap.port, secret=secret)


async def test_the_answers_in_a_real_mailbox_are_read_and_stay_as_they_were(sandbox: RunningSandbox) -> None:
    first = batch_of(await sandbox_provider(sandbox).fetch("INBOX"))
    assert len(first.mails) == 3 and first.skipped == ()
    assert b"In-Reply-To: <sample-1@example.com>" in first.mails[0].raw
    assert all(mail.received_at is not None for mail in first.mails)
    again = batch_of(await sandbox_provider(sandbox).fetch("INBOX"))
    assert again == first
    rest = batch_of(await sandbox_provider(sandbox).fetch("INBOX", first.mails[0].uid, first.uid_validity))
    assert rest.mails == first.mails[1:] and not rest.rescan
    none = batch_of(await sandbox_provider(sandbox).fetch("INBOX", first.last_uid, first.uid_validity))
    assert none.mails == ()


async def test_a_real_server_refuses_a_wrong_password_and_an_unknown_mailbox(sandbox: RunningSandbox) -> None:
    assert (await sandbox_provider(sandbox).check()).outcome is Outcome.OK
    assert (await sandbox_provider(sandbox, secret="wrong").check()).outcome is Outcome.AUTH
    assert (await sandbox_provider(sandbox).fetch("Nowhere")).attempt.outcome is Outcome.INPUT
