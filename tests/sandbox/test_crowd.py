"""The audience at work: over real sockets in its own process, and by a clock that a test moves."""

from __future__ import annotations

import asyncio
import imaplib
import json
import smtplib
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from binomial import interval
from hand_clock import HandClock

from aicmo.errors import NotFound
from aicmo.sandbox import PASSWORD, USER, Act, AudienceRates, Fault, RunningSandbox, read_audience, start_sandbox
from aicmo.sandbox.audience.crowd import Crowd
from aicmo.sandbox.audience.rates import intentions
from aicmo.sandbox.mail import MailLog

MESSAGES = 5000
RATES = AudienceRates(
    hard_bounce=0.02,
    soft_bounce=0.02,
    open=0.20,
    click=0.05,
    unsubscribe=0.02,
    unsubscribe_in_words=0.02,
    complaint=0.02,
    reply=0.05,
    auto_reply=0.03,
    proxy_open=0.10,
    scan=0.04,
)
NOTHING = AudienceRates(**dict.fromkeys(asdict(RATES), 0.0))
SAMPLE_MAILS = 3
"""What INBOX holds before anybody answers."""


def message(number: int, site: str = "https://www.example.com", more: str = "") -> bytes:
    """A campaign's message to one of many people, with an image and two links of their own."""
    return (
        "From: Ada Lovelace <ada@example.com>\r\n"
        f"To: Person {number} <p{number}@corp{number % 50}.example>\r\n"
        "Subject: News\r\n"
        f"Message-ID: <{number}@example.com>\r\n"
        f"List-Unsubscribe: <mailto:ada@example.com?subject=unsubscribe-{number}>\r\n"
        f"{more}"
        "Content-Type: text/html; charset=utf-8\r\n\r\n"
        f'<img src="{site}/{number}/open.gif"><a href="{site}/{number}/a">a</a> <a href="{site}/{number}/b">b</a>\r\n'
    ).encode()


def send(sandbox: RunningSandbox, mails: Sequence[bytes], server: str = "smtp-a") -> None:
    where = sandbox.smtp[server]
    with smtplib.SMTP(where.host, where.port, timeout=30) as client:
        for mail in mails:
            client.sendmail("ada@example.com", [message_from_bytes(mail)["To"].partition("<")[2].rstrip(">")], mail)


def inbox(sandbox: RunningSandbox) -> list[Message]:
    """What was put into the mailbox since the start."""
    with imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=60) as mailbox:
        mailbox.login(USER, PASSWORD)
        mailbox.select("INBOX", readonly=True)
        _, found = mailbox.fetch("1:*", "(BODY.PEEK[])")
    return [message_from_bytes(part[1]) for part in found if isinstance(part, tuple)][SAMPLE_MAILS:]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    """A sandbox whose audience has done all it would with 5,000 messages."""
    with start_sandbox(tmp_path_factory.mktemp("lived"), audience=RATES) as sandbox:
        site = sandbox.http["site"].base_url
        send(sandbox, [message(number, site) for number in range(MESSAGES)])
        sandbox.settle(timeout_s=120)
        yield sandbox


def test_what_was_done_keeps_the_true_rates(lived: RunningSandbox) -> None:
    counts = Counter(act.kind for act in lived.acts())

    for kind, rate in asdict(RATES).items():
        least, most = interval(MESSAGES, rate)
        assert least <= counts[kind] <= most, kind


def test_the_parent_knows_from_the_seed_what_everybody_did(lived: RunningSandbox) -> None:
    expected = [
        (mail.message_id, each.kind, each.delay_s)
        for mail in lived.received()
        for each in intentions(RATES, 1, mail.rcpt_to[0], mail.message_id)
    ]

    assert [(act.message_id, act.kind, act.delay_s) for act in lived.acts()] == expected
    status = lived.status().audience
    assert status is not None and (status.waiting, status.done) == (0, len(expected))


def test_the_truth_is_what_lies_in_the_mailbox(lived: RunningSandbox) -> None:
    answered = [act for act in lived.acts() if act.answer]
    mails = inbox(lived)

    assert [mail["Message-ID"] for mail in mails] == [act.answer for act in answered]
    for act, mail in zip(answered, mails, strict=True):
        number = act.message_id.strip("<>").partition("@")[0]
        if act.kind in ("hard_bounce", "soft_bounce"):
            _, report, _ = mail.get_payload()
            status = report.get_payload()[1]
            assert status["Final-Recipient"] == f"rfc822; {act.recipient}"
            assert status["Status"] == {"hard_bounce": "5.1.1", "soft_bounce": "4.2.2"}[act.kind]
            assert act.message_id in mail.as_string()
        elif act.kind == "complaint":
            assert mail.get_param("report-type") == "feedback-report"
            assert act.message_id in mail.as_string()
        elif act.kind == "unsubscribe":
            assert (mail["Subject"], act.how) == (f"unsubscribe-{number}", "mailto")
            assert act.recipient in mail["From"]
        else:
            assert act.kind in ("reply", "auto_reply", "unsubscribe_in_words")
            assert mail["In-Reply-To"] == act.message_id
            assert act.recipient in mail["From"]
            assert (mail["Auto-Submitted"] is not None) == (act.kind == "auto_reply") == act.machine


def test_the_truth_is_what_the_site_was_asked_for(lived: RunningSandbox) -> None:
    asked = [(urlsplit(url).path, act.user_agent) for act in lived.acts() for url in act.asked]

    assert [(row.path, row.headers["user-agent"]) for row in lived.http_log()] == asked
    assert {(row.server, row.method, row.status) for row in lived.http_log()} == {("site", "GET", 200)}


def test_each_act_fetches_what_it_is_about(lived: RunningSandbox) -> None:
    site = lived.http["site"].base_url
    proxied = {act.message_id for act in lived.acts() if act.kind == "proxy_open"}
    for act in lived.acts():
        own = f"{site}/{act.message_id.strip('<>').partition('@')[0]}"
        match act.kind:
            case "proxy_open":
                assert (act.asked, act.user_agent) == ((f"{own}/open.gif",), "Mozilla/5.0")
            case "open":
                assert act.asked == (() if act.message_id in proxied else (f"{own}/open.gif",))
            case "scan":
                assert act.asked == (f"{own}/a", f"{own}/b")
            case "click":
                assert act.asked == (act.link,) and act.link in (f"{own}/a", f"{own}/b")
            case _:
                assert act.asked == () and act.answer


def test_what_arrives_is_mail_like_any_other(tmp_path: Path) -> None:
    with (
        start_sandbox(tmp_path, audience=replace(NOTHING, hard_bounce=1.0)) as sandbox,
        imaplib.IMAP4(sandbox.imap.host, sandbox.imap.port, timeout=30) as mailbox,
    ):
        mailbox.login(USER, PASSWORD)
        assert mailbox.select("INBOX") == ("OK", [b"3"])
        send(sandbox, [message(1)])
        sandbox.settle()
        mailbox.noop()
        assert mailbox.response("EXISTS")[1][-1] == b"4"

        [raw] = [part[1] for part in mailbox.fetch("4", "(BODY.PEEK[])")[1] if isinstance(part, tuple)]
        facts = mailbox.fetch("4", "(FLAGS RFC822.SIZE)")[1][-1]
        assert f"RFC822.SIZE {len(raw)}".encode() in facts and b"Seen" not in facts
        assert message_from_bytes(raw).get_content_type() == "multipart/report"
        assert mailbox.search(None, "SUBJECT", message_from_bytes(raw)["Subject"].split()[0])[1][0].endswith(b"4")

        assert mailbox.store("4", "+FLAGS", r"(\Seen)")[0] == "OK"
        assert b"Seen" in mailbox.fetch("4", "(FLAGS)")[1][-1]
        assert mailbox.copy("4", "Sent")[0] == "OK"
        mailbox.select("Sent")
        assert [part[1] for part in mailbox.fetch("4", "(BODY.PEEK[])")[1] if isinstance(part, tuple)] == [raw]


def test_a_reset_forgets_and_the_audience_lives_on(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, audience=replace(NOTHING, open=1.0, reply=1.0)) as sandbox:
        for number in (1, 22222, 1):
            send(sandbox, [message(number)])
            sandbox.settle()
            did = [(act.kind, act.message_id) for act in sandbox.acts()]
            assert did == [("open", f"<{number}@example.com>"), ("reply", f"<{number}@example.com>")]
            sandbox.reset()
            assert sandbox.acts() == []


def test_nobody_answers_the_same_message_twice(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, audience=replace(NOTHING, open=1.0, reply=1.0)) as sandbox:
        send(sandbox, [message(1), message(1)], "smtp-a")
        send(sandbox, [message(1)], "smtp-b")
        sandbox.settle()

        assert len(inbox(sandbox)) == 1
        assert [act.kind for act in sandbox.acts()] == ["open", "reply"]


def test_nobody_answers_a_machine(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, audience=replace(NOTHING, open=1.0, reply=1.0, auto_reply=1.0)) as sandbox:
        send(sandbox, [message(1, more="Auto-Submitted: auto-replied\r\n")])
        sandbox.settle()
        assert (sandbox.acts(), inbox(sandbox)) == ([], [])

        send(sandbox, [message(2, more="X-Auto-Response-Suppress: OOF\r\n")])
        sandbox.settle()
        assert [act.kind for act in sandbox.acts()] == ["open", "reply"]


def test_a_link_that_leads_away_is_clicked_and_not_followed(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, audience=replace(NOTHING, open=1.0, click=1.0, scan=1.0)) as sandbox:
        send(sandbox, [message(1, "https://www.example.com")])
        sandbox.settle()

        clicked = next(act for act in sandbox.acts() if act.kind == "click")
        assert clicked.link.startswith("https://www.example.com/1/")
        assert [act.asked for act in sandbox.acts()] == [()] * 3


def test_one_click_posts_where_the_header_says(tmp_path: Path) -> None:
    with start_sandbox(tmp_path, audience=replace(NOTHING, open=1.0, unsubscribe=1.0)) as sandbox:
        where = f"{sandbox.http['site'].base_url}/leave/1"
        both = f"<mailto:ada@example.com>, <{where}>"
        mail = message(1, more="List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        send(sandbox, [mail.replace(b"<mailto:ada@example.com?subject=unsubscribe-1>", both.encode())])
        sandbox.settle()

        [act] = [act for act in sandbox.acts() if act.kind == "unsubscribe"]
        assert (act.how, act.asked, act.answer) == ("post", (where,), "")
        [row] = sandbox.http_log()
        assert (row.method, row.path, row.body) == ("POST", "/leave/1", "List-Unsubscribe=One-Click")
        assert inbox(sandbox) == []


def test_mail_is_taken_while_the_audience_waits_for_a_site_that_hangs(tmp_path: Path) -> None:
    hangs = [Fault("request", "hang", server="site")]
    with start_sandbox(tmp_path, audience=replace(NOTHING, proxy_open=1.0), faults=hangs) as sandbox:
        send(sandbox, [message(number, sandbox.http["site"].base_url) for number in range(100)])

        status = sandbox.status()
        assert status.received == 100 and status.audience is not None and status.audience.done < 100


def test_there_is_no_audience_unless_one_is_asked_for(sandbox: RunningSandbox) -> None:
    send(sandbox, [message(1)])
    sandbox.settle()

    assert sandbox.status().audience is None
    with pytest.raises(NotFound):
        sandbox.acts()


@pytest.mark.parametrize("rates", ['{"tea": 1}', "[]", '{"click": 1}', "{"])
def test_rates_that_cannot_be_used_keep_it_from_starting(rates: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "aicmo.sandbox", "--folder", str(tmp_path), "--audience", rates]

    ended = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    assert (ended.returncode, ended.stdout) == (6, "")
    assert "Traceback" not in ended.stderr


# -- by a clock that a test moves --------------------------------------------------------------------------------------


def three_folders(within: Path) -> list[Path]:
    folders = [within / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    return folders


async def live(
    folder: Path, mails: Sequence[bytes], rates: AudienceRates, *, seed: int = 1, scale: float = 0.0
) -> tuple[list[Act], list[bytes]]:
    """What an audience does with ``mails``, and what it writes."""
    clock = HandClock()
    written: list[bytes] = []

    async def put_in_inbox(mail: bytes, _at: datetime) -> None:
        written.append(mail)

    with closing(MailLog(folder, clock=clock)) as log:
        for mail in mails:
            log.add("smtp-a", "ada@example.com", [message_from_bytes(mail)["To"].partition("<")[2][:-1]], 1, mail)
        with closing(Crowd(folder, rates, seed=seed, scale=scale, put_in_inbox=put_in_inbox, clock=clock)) as crowd:
            crowd.start()
            await asyncio.wait_for(crowd.settled(), 60)
            await crowd.stop()
    return read_audience(folder), written


async def test_the_same_seed_is_the_same_truth_word_by_word(tmp_path: Path) -> None:
    mails = [message(number) for number in range(300)]
    rates = replace(RATES, open=0.5, reply=0.2, unsubscribe=0.1, complaint=0.1, hard_bounce=0.1)

    folders = three_folders(tmp_path)
    once, again = await live(folders[0], mails, rates), await live(folders[1], mails, rates)
    other = await live(folders[2], mails, rates, seed=2)

    def timeless(truth: tuple[list[Act], list[bytes]]) -> list[object]:
        lines = [line for mail in truth[1] for line in mail.split(b"\r\n") if b"Date: " not in line]
        return [replace(act, at=once[0][0].at) for act in truth[0]] + lines

    assert timeless(once) == timeless(again) != timeless(other)


@pytest.mark.parametrize("scale", [1.0, 0.001])
async def test_everything_happens_at_its_time(tmp_path: Path, scale: float) -> None:
    acts, _ = await live(tmp_path, [message(number) for number in range(200)], RATES, scale=scale)

    assert len(acts) > 50
    assert acts == sorted(acts, key=lambda act: act.at)
    delivered = HandClock().now()
    for act in acts:
        late = act.at - delivered - timedelta(seconds=act.delay_s * scale)
        assert timedelta(milliseconds=-2) < late < timedelta(milliseconds=2)


async def test_two_people_behind_one_message_decide_for_themselves(tmp_path: Path) -> None:
    clock = HandClock()
    people = [f"p{number}@corp.example" for number in range(40)]

    async def put_in_inbox(_mail: bytes, _at: datetime) -> None:
        pass

    with closing(MailLog(tmp_path, clock=clock)) as log:
        log.add("smtp-a", "ada@example.com", people, 1, message(1))
        rates = replace(NOTHING, open=0.5)
        with closing(Crowd(tmp_path, rates, seed=1, scale=0, put_in_inbox=put_in_inbox, clock=clock)) as crowd:
            crowd.start()
            await asyncio.wait_for(crowd.settled(), 60)
            await crowd.stop()

    opened = [act.recipient for act in read_audience(tmp_path)]
    assert opened == [each for each in people if intentions(rates, 1, each, "<1@example.com>")]
    assert 0 < len(opened) < 40


async def test_one_strange_mail_does_not_send_the_audience_home(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = HandClock()
    taken: list[bytes] = []

    async def put_in_inbox(mail: bytes, _at: datetime) -> None:
        if not taken:
            taken.append(b"refused")
            raise ValueError("the mailbox is odd")
        taken.append(mail)

    rates = replace(NOTHING, open=1.0, reply=1.0)
    with closing(MailLog(tmp_path, clock=clock)) as log:
        for number in (1, 2):
            log.add("smtp-a", "ada@example.com", ["zoe@atelier.example"], 1, message(number))
        with closing(Crowd(tmp_path, rates, seed=1, scale=0, put_in_inbox=put_in_inbox, clock=clock)) as crowd:
            crowd.start()
            await asyncio.wait_for(crowd.settled(), 60)
            await crowd.stop()

    assert [act.kind for act in read_audience(tmp_path)] == ["open", "open", "reply"]
    assert len(taken) == 2
    assert [record.message for record in caplog.records] == ["a reply failed"]


async def test_a_one_click_address_over_https_is_posted_to(tmp_path: Path, sandbox: RunningSandbox) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert sandbox.certificate is not None
    context.load_cert_chain(sandbox.certificate)
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head + await reader.readexactly(len(b"List-Unsubscribe=One-Click")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        where = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/leave?token=1"
        mail = message(1, more="List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        mail = mail.replace(b"mailto:ada@example.com?subject=unsubscribe-1", where.encode())
        acts, written = await live(tmp_path, [mail], replace(NOTHING, open=1.0, unsubscribe=1.0))

    assert [act.asked for act in acts] == [(), (where,)]
    assert written == []
    [request] = requests
    assert request.startswith(b"POST /leave?token=1 HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\nList-Unsubscribe=One-Click")


def test_an_act_that_is_still_being_written_is_not_there_yet(tmp_path: Path) -> None:
    act = {"kind": "open", "recipient": "x@y.example", "message_id": "<1@x>", "delay_s": 1.0}
    line = json.dumps(act | {"at": "2026-01-01T00:00:00.000Z", "asked": []}) + "\n"
    (tmp_path / "audience.ndjson").write_text(line + line[:30])

    assert [found.recipient for found in read_audience(tmp_path)] == ["x@y.example"]
