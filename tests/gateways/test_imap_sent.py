"""Traces of our own mail, looked for in an account that is as helpful, vague or hostile as the test says."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from imap_server import DROP, ScriptedMailbox
from loopback import serving
from test_imap import provider_for

from aicmo.gateways import Answer, Outcome
from aicmo.gateways.imap_session import AT_ONCE
from aicmo.gateways.inbound import Evidence, Trace, Traces

SINCE = datetime(2026, 11, 22, 9, tzinfo=UTC)
OURS = "<1.7.0a1b2c@example.com>"
SENT_MARKED = r'* LIST (\HasNoChildren \Sent) "/" "Sent Items"'


@dataclass
class Account(ScriptedMailbox):
    """Several mailboxes. Its search is as vague as real ones: parts of words, in any case."""

    boxes: dict[str, list[bytes]] = None  # type: ignore[assignment]
    listed: tuple[str, ...] = ('* LIST () "/" INBOX', SENT_MARKED)
    gives_every_header: bool = False

    def __post_init__(self) -> None:
        self.boxes = {"INBOX": [], "Sent Items": []} | (self.boxes or {})
        self.opened: list[str] = []

    def _list(self, command: str, writer: asyncio.StreamWriter) -> None:
        for line in self.listed:
            writer.write(line.encode() + b"\r\n")

    def _examine(self, command: str, writer: asyncio.StreamWriter) -> None:
        name = command.split(" ", 1)[1].strip('"')
        self.opened.append(name)
        self.mails = dict(enumerate(self.boxes.get(name, []), 1))
        super()._examine(command, writer)

    def _search(self, command: str, writer: asyncio.StreamWriter) -> None:
        assert " SINCE 21-Nov-2026" in command  # a day earlier, because a server has a zone of its own
        wanted = re.findall(r'HEADER (\S+) "((?:[^"\\]|\\.)*)"', command)
        hits = [
            uid
            for uid, raw in self.mails.items()
            if not wanted or any(_named_in(raw, name, value.replace("\\", "")) for name, value in wanted)
        ]
        writer.write(f"* SEARCH {' '.join(map(str, hits))}".rstrip().encode() + b"\r\n")

    def _sizes(self, command: str, writer: asyncio.StreamWriter) -> None:
        names = re.findall(r"HEADER\.FIELDS \(([^)]*)\)", command)[0].lower().split()
        for uid in map(int, command.split(" ")[2].split(",")):
            fields = re.findall(rb"(?m)^\S+:.*\r\n(?:[ \t].*\r\n)*", self.mails[uid])
            kept = [it for it in fields if self.gives_every_header or it.split(b":")[0].decode().lower() in names]
            raw = b"".join(kept)[: 16 * 1024] + b"\r\n"
            writer.write(b"* %d FETCH (UID %d BODY[HEADER.FIELDS (X)]<0> {%d}\r\n%s)\r\n" % (uid, uid, len(raw), raw))


def _named_in(raw: bytes, name: str, value: str) -> bool:
    return any(
        line.lower().startswith(name.lower()) and value.lower() in line.lower()
        for line in raw.decode().replace("\r\n ", " ").splitlines()
    )


def mail(*headers: str) -> bytes:
    return "".join(f"{header}\r\n" for header in ("Subject: hello", *headers)).encode()


async def asked(server: ScriptedMailbox, *ids: str, **settings: Any) -> Answer[Traces]:
    async with serving(server):
        return await provider_for(server.port, **settings).find_sent(ids or [OURS], SINCE)


async def traces(server: ScriptedMailbox, *ids: str, **settings: Any) -> Traces:
    answer = await asked(server, *ids, **settings)
    assert answer.attempt.outcome is Outcome.OK and answer.value is not None, answer.attempt
    return answer.value


# --- what counts as a trace -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        f"Message-ID: {OURS}",
        f"MESSAGE-ID:{OURS}",
        f"Message-Id:\r\n {OURS}",
        "Message-ID: <1.7.0a1b2c@\r\n\texample.com>",
        "Message-ID: 1.7.0a1b2c@example.com",
        "Message-ID:   <1.7.0a1b2c@EXAMPLE.Com>  ",
    ],
)
async def test_a_copy_is_known_however_its_message_id_is_written(header: str) -> None:
    found = await traces(Account(boxes={"Sent Items": [mail("Message-ID: <else@x>"), mail(header)]}))
    assert found == Traces({OURS: Trace(Evidence.COPY, "Sent Items")}, ("Sent Items",))


@pytest.mark.parametrize(
    "header",
    [
        "Message-ID: <11.7.0a1b2c@example.com>",
        "Message-ID: <1.7.0a1b2c@example.com.evil.example>",
        "Message-ID: <1.7.0A1B2C@example.com>",
        f"In-Reply-To: {OURS}",
        f"References: <a@x> {OURS}",
        f"X-Note: Message-ID: {OURS}",
        f"Subject: {OURS}",
    ],
)
@pytest.mark.parametrize("gives_every_header", [False, True])
async def test_the_copy_of_another_message_never_stands_for_this_one(header: str, gives_every_header: bool) -> None:
    account = Account(boxes={"Sent Items": [mail(header)]}, gives_every_header=gives_every_header)
    assert (await traces(account)).found == {}


@pytest.mark.parametrize(
    "header",
    [f"In-Reply-To: {OURS}", f"REFERENCES: <a@x>\r\n <b@x>\r\n {OURS}", f"References: <a@x>{OURS}<b@x>"],
)
async def test_a_mail_that_answers_it_shows_that_it_went(header: str) -> None:
    found = await traces(Account(boxes={"INBOX": [mail(header)]}))
    assert found == Traces({OURS: Trace(Evidence.ANSWER, "INBOX")}, ("Sent Items", "INBOX"))


async def test_who_merely_carries_its_message_id_in_inbox_does_not_answer_it() -> None:
    assert (await traces(Account(boxes={"INBOX": [mail(f"Message-ID: {OURS}", f"Subject: {OURS}")]}))).found == {}


async def test_a_header_without_end_hides_nobody_elses_trace() -> None:
    flood = mail("References: " + " ".join(f"<{number}@x>" for number in range(20_000)))
    assert OURS in (await traces(Account(boxes={"INBOX": [flood, mail(f"In-Reply-To: {OURS}")]}))).found


@pytest.mark.parametrize("many", [False, True])
async def test_few_mails_are_read_and_among_many_each_is_searched_for(many: bool) -> None:
    others = [mail(f"Message-ID: <{number}@x>") for number in range(AT_ONCE + 1 if many else 3)]
    near = [mail(f"Message-ID: <{number}{OURS[1:]}") for number in range(9)]
    server = Account(boxes={"Sent Items": [*others, *near, mail(f"Message-ID: {OURS}"), *near]})
    assert OURS in (await traces(server)).found
    assert any('HEADER MESSAGE-ID "1.7.0a1b2c@example.com"' in it for it in server.seen) is many


async def test_among_many_an_answer_is_searched_for_in_both_headers() -> None:
    others = [mail(f"References: <{number}@x>") for number in range(2 * AT_ONCE + 1)]
    server = Account(boxes={"INBOX": [*others, mail(f"In-Reply-To: {OURS}"), mail("References: <2.8.ff@example.com>")]})
    assert set((await traces(server, OURS, "<2.8.ff@example.com>")).found) == {OURS, "<2.8.ff@example.com>"}


# --- where it is looked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listed", "opened"),
    [
        ((r'* LIST (\Sent) "/" "All the rest"', '* LIST () "/" Sent'), ["All the rest"]),
        (('* LIST () "/" "[Gmail]/Sent Mail"',), ["[Gmail]/Sent Mail"]),
        (('* LIST () "." INBOX.Sent', '* LIST () "." "INBOX.Sent Items"'), ["INBOX.Sent", "INBOX.Sent Items"]),
        (('* LIST () "/" "&AMk-l&AOk-ments envoy&AOk-s"',), ["&AMk-l&AOk-ments envoy&AOk-s"]),
        (('* LIST () "/" "&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"',), ["&BB4EQgQ,BEAEMAQyBDsENQQ9BD0ESwQ1-"]),
        (('* LIST () "/" {4}\r\nSent',), ["Sent"]),
        ((r'* LIST (\Noselect) "/" Sent',), []),
        (('* LIST () NIL "Sent by pigeon"', "* LIST nonsense"), []),
        ((), []),
    ],
)
async def test_the_mailbox_for_sent_mail_is_found_by_its_mark_or_its_name(
    listed: tuple[str, ...], opened: list[str]
) -> None:
    server = Account(listed=listed)
    await traces(server)
    assert server.opened == [*opened, "INBOX"]


async def test_a_server_that_marks_it_only_when_asked_is_asked() -> None:
    class Reserved(Account):
        def _list(self, command: str, writer: asyncio.StreamWriter) -> None:
            self.listed = (SENT_MARKED,) if "SPECIAL-USE" in command else (r'* LIST () "/" "Sent Items"',)
            super()._list(command, writer)

    server = Reserved(offers="IMAP4rev1 SPECIAL-USE LIST-EXTENDED", boxes={"Sent Items": [mail(f"Message-ID: {OURS}")]})
    assert OURS in (await traces(server)).found
    assert 'LIST (SPECIAL-USE) "" "*"' in server.seen


async def test_the_configured_mailbox_is_the_one_that_is_opened() -> None:
    server = Account(boxes={"Ausgang": [mail(f"Message-ID: {OURS}")]})
    assert (await traces(server, sent_mailbox="Ausgang")).found == {OURS: Trace(Evidence.COPY, "Ausgang")}
    assert not any(command.startswith("LIST") for command in server.seen)


async def test_a_configured_mailbox_that_is_not_there_is_told_and_blames_nobody() -> None:
    attempt = (await asked(Account(script={"examine": "NO [NONEXISTENT] no such mailbox"}), sent_mailbox="X")).attempt
    assert (attempt.outcome, attempt.phase) == (Outcome.INPUT, "examine")


# --- what it must never do --------------------------------------------------------------------------------------------


SAID = re.compile(
    r"CAPABILITY|LOGIN Q Q|LIST Q Q|EXAMINE Q|LOGOUT"
    r"|UID SEARCH SINCE 21-Nov-2026(?: (?:OR HEADER [A-Z-]+ Q )?HEADER [A-Z-]+ Q)?"
    r"|UID FETCH [\d,]+ \(UID BODY\.PEEK\[HEADER\.FIELDS \([A-Z -]+\)\]<0\.16384>\)"
)
"""All that is ever said to a server, with Q for a quoted string."""


def said(server: ScriptedMailbox) -> list[str]:
    return [re.sub(r'"(?:[^"\\]|\\.)*"', "Q", command) for command in server.seen]


async def test_mailboxes_are_opened_for_reading_and_nothing_but_headers_is_read() -> None:
    server = Account(boxes={"Sent Items": [mail("Message-ID: <a@x>")], "INBOX": [mail("References: <b@x>")]})
    await traces(server)
    assert all(SAID.fullmatch(command) for command in said(server)), server.seen


HOSTILE = ['<a"b@x>', r"<a\b@x>", '<x" NOT "y@x>', "<a@x>\r\nA9 LOGOUT", "<a@x>\n", "<{3}@x>", "<ä@x>", "<>", ""]


@pytest.mark.parametrize("hostile", [*HOSTILE, "<" * 2000], ids=range(10))
async def test_a_message_id_cannot_say_anything_else_to_the_server(hostile: str) -> None:
    others = [mail(f"Message-ID: <{number}@x>") for number in range(3 * AT_ONCE)]
    server = Account(boxes={"Sent Items": [*others, mail(f"Message-ID: {OURS}")]})
    assert set((await traces(server, hostile, OURS)).found) == {OURS}
    assert all(SAID.fullmatch(command) for command in said(server)), server.seen
    assert all(command.isascii() and len(command) < 1000 for command in server.seen)
    assert server.seen.count("LOGOUT") == 1


@pytest.mark.parametrize("verb", ["list", "examine", "search", "sizes"])
@pytest.mark.parametrize("answer", [DROP, "* BYE too late", "NO [UNAVAILABLE] later"])
async def test_an_account_that_breaks_off_shows_nothing(verb: str, answer: str) -> None:
    account = Account(boxes={"Sent Items": [mail(f"Message-ID: {OURS}")]}, script={verb: answer})
    told = await asked(account)
    assert told.value is None and told.attempt.outcome is Outcome.TRANSIENT
