"""What the audience finds in a message, and what it and the machines around it write back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage, Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.publishing.email.message import MessageBuilder, Recipient, SenderIdentity
from aicmo.sandbox.audience.answers import (
    Answer,
    Writing,
    absence,
    leave_by_mailto,
    leave_in_words,
    reply,
)
from aicmo.sandbox.audience.letter import Letter
from aicmo.sandbox.audience.loopback import ask, loopback_host
from aicmo.sandbox.audience.reports import bounce, complaint
from aicmo.sandbox.audience.words import LANGUAGES
from aicmo.sandbox.people import sample_people
from aicmo.store.contents import Draft

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
DRAFT = Draft(
    "News for {{ first_name | default('you') }} of {{ company | default('nowhere') }}",
    "Hello {{ first_name | default('there') }},\n\nsee [the tour](http://127.0.0.1:8025/tour?a=1&b=2).\n",
    "Two minutes",
)


def letters() -> Iterator[Letter]:
    """A campaign's message to each of the sample people, the hostile ones too, as our own builder makes it."""
    builder = MessageBuilder(DRAFT, SenderIdentity("Ada Lovelace", "ada@example.com", "1 Way, London"), "News")
    for number, person in enumerate(sample_people(80)):
        values = {"first_name": person.first_name, "last_name": person.last_name, "company": person.company}
        built = builder.build(Recipient(person.email, values, token=f"1.{number}.seal"), NOW)
        yield Letter(built.raw, mail_from=built.mail_from, recipient=built.recipient)


LETTERS = list(letters())


def writings() -> Iterator[Writing]:
    for number, letter in enumerate(LETTERS):
        language = tuple(LANGUAGES)[number % len(LANGUAGES)]
        yield Writing(letter, f"<answer.{number}@{letter.domain}>", NOW, random.Random(number), language)


def check(answer: Answer) -> EmailMessage:
    """Parse a mail as any client would, and refuse every defect."""
    assert b"\n" not in answer.raw.replace(b"\r\n", b"")
    assert max(map(len, answer.raw.split(b"\r\n"))) <= 998  # RFC 5322 2.1.1
    mail = message_from_bytes(answer.raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    for part in mail.walk():
        assert part.defects == []
        assert [(name, value.defects) for name, value in part.items() if value.defects] == []
    for name in ("Return-Path", "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert len(mail.get_all(name, [])) == 1, name
    assert "Bcc" not in mail
    return mail


def thread_of(writing: Writing) -> str:
    return writing.letter.header("Message-ID")


@pytest.mark.parametrize("write", [reply, leave_in_words])
def test_what_a_person_writes_is_a_reply_in_the_thread(write: object) -> None:
    seen = set()
    for writing in writings():
        answer = write(writing)  # type: ignore[operator]
        mail = check(answer)
        assert mail["In-Reply-To"] == thread_of(writing)
        assert mail["References"].split()[-1] == thread_of(writing)
        assert mail["To"] == "ada@example.com"
        assert mail["From"].addresses[0].addr_spec == writing.letter.recipient
        assert "Auto-Submitted" not in mail
        seen.add((answer.how, "> see the tour" in mail.get_content(), mail["Subject"].startswith("Re: News for ")))
    if write is reply:
        assert seen == {
            ("top", True, True),
            ("below", True, True),
            ("bare", False, True),
            ("new subject", False, False),
        }
    else:
        assert seen == {("words", True, True), ("words", False, True)}


def test_an_absence_note_declares_itself_as_rfc_3834_wants() -> None:
    styles = set()
    for writing in writings():
        answer = absence(writing)
        mail = check(answer)
        styles.add(answer.how)
        assert mail["Auto-Submitted"] == "auto-replied"
        assert mail["Return-Path"] == "<>"
        assert mail["In-Reply-To"] == thread_of(writing)
        assert mail["To"] == writing.letter.mail_from
        assert "News for" in mail["Subject"]
    assert styles == {"plain", "exchange", "vacation"}


@pytest.mark.parametrize(("hard", "status", "code"), [(True, "5.1.1", "550 5.1.1"), (False, "4.2.2", "452 4.2.2")])
def test_a_bounce_has_what_rfc_3464_asks_for_in_every_wording(hard: bool, status: str, code: str) -> None:
    wordings = set()
    for writing in writings():
        answer = bounce(writing, hard=hard)
        mail = check(answer)
        wordings.add(answer.how)
        assert (mail.get_content_type(), mail.get_param("report-type")) == ("multipart/report", "delivery-status")
        assert mail["Return-Path"] == "<>"
        assert mail["To"] == writing.letter.mail_from
        assert mail["Auto-Submitted"].startswith("auto-")
        says, report, returned = mail.iter_parts()
        assert writing.letter.recipient in says.get_content() and code in says.get_content()
        assert report.get_content_type() == "message/delivery-status"
        about_mail, about_recipient = report.get_payload()
        assert about_mail["Reporting-MTA"].startswith("dns; ")
        assert about_recipient["Final-Recipient"] == f"rfc822; {writing.letter.recipient}"
        assert (about_recipient["Action"], about_recipient["Status"]) == ("failed", status)
        assert about_recipient["Diagnostic-Code"].lower().startswith(f"smtp; {code}")
        assert thread_of(writing) in _returned_header(returned, "Message-ID")
    assert wordings == {"postfix", "gmail", "exchange", "sendmail", "exim"}


def test_a_complaint_has_what_rfc_5965_asks_for() -> None:
    kinds = set()
    for writing in writings():
        answer = complaint(writing)
        mail = check(answer)
        kinds.add(answer.how)
        assert (mail.get_content_type(), mail.get_param("report-type")) == ("multipart/report", "feedback-report")
        _, report, returned = mail.iter_parts()
        assert report.get_content_type() == "message/feedback-report"
        [facts] = report.get_payload()
        for name in ("Feedback-Type", "User-Agent", "Version"):
            assert len(facts.get_all(name)) == 1
        assert (facts["Feedback-Type"], facts["Version"]) == ("abuse", "1")
        assert returned.get_content_type() == "message/rfc822"
        assert _returned_header(returned, "Message-ID") == thread_of(writing)
        assert (writing.letter.recipient.encode() in answer.raw) == (answer.how == "named")
    assert kinds == {"named", "redacted"}


def _returned_header(part: Message, name: str) -> str:
    if part.get_content_type() == "message/rfc822":
        [returned] = part.get_payload()
    else:
        returned = message_from_bytes(part.get_payload(decode=True))
    return str(returned[name])


def test_the_mailto_way_out_is_the_mail_that_the_header_asks_for() -> None:
    for writing in writings():
        answer = leave_by_mailto(writing)
        mail = check(answer)
        token = thread_of(writing)[1:].partition("@")[0]
        assert (mail["To"], mail["Subject"], answer.how) == ("ada@example.com", f"unsubscribe-{token}", "mailto")
        assert mail["From"].addresses[0].addr_spec == writing.letter.recipient


def letter(**headers: str) -> Letter:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    raw = "\r\n".join(("From: ada@example.com", *lines, "", "Hello\r\n")).encode()
    return Letter(raw, mail_from="ada@example.com", recipient="zoe@atelier.example")


def test_a_mailto_may_ask_for_a_body_and_hide_nothing_in_its_subject() -> None:
    asked = letter(List_Unsubscribe="<mailto:u+a%2Eb@example.com?subject=leave%0D%0ABcc:%20x@y.example&body=t+1%0Abye>")
    writing = Writing(asked, "<1@atelier.example>", NOW, random.Random(1), "en")

    mail = check(leave_by_mailto(writing))

    assert (mail["To"], mail["Subject"]) == ("u+a.b@example.com", "leave Bcc: x@y.example")
    assert mail.get_content().split() == ["t+1", "bye"]


def test_without_a_way_out_people_say_it_in_words() -> None:
    writing = Writing(letter(Message_ID="<1@example.com>"), "<1@atelier.example>", NOW, random.Random(1), "en")

    assert leave_by_mailto(writing).how == "words"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"List_Unsubscribe": "<https://127.0.0.1:1/u>", "List_Unsubscribe_Post": "List-Unsubscribe=One-Click"}, True),
        ({"List_Unsubscribe": "<https://127.0.0.1:1/u>"}, False),
        ({"List_Unsubscribe": "<mailto:a@b.example>", "List_Unsubscribe_Post": "List-Unsubscribe=One-Click"}, False),
    ],
)
def test_one_click_is_offered_by_both_headers_together(headers: dict[str, str], expected: bool) -> None:
    assert bool(letter(**headers).one_click) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, False),
        ({"Auto_Submitted": "no"}, False),
        ({"Precedence": "bulk"}, False),
        ({"Auto_Submitted": "auto-replied; x=y"}, True),
        ({"Auto_Submitted": "Auto-Generated"}, True),
        ({"Content_Type": "multipart/report; boundary=b"}, True),
    ],
)
def test_what_a_machine_wrote_of_its_own_accord_is_known_as_such(headers: dict[str, str], expected: bool) -> None:
    assert letter(**headers).automatic == expected


def test_a_mail_from_nobody_is_automatic() -> None:
    assert Letter(b"Subject: x\r\n\r\n", mail_from="", recipient="zoe@atelier.example").automatic


@pytest.mark.parametrize(("value", "expected"), [("OOF, DR", True), ("All", True), ("AutoReply", True), ("DR", False)])
def test_an_absence_note_can_be_asked_to_keep_quiet(value: str, expected: bool) -> None:
    assert letter(X_Auto_Response_Suppress=value).wants_no_auto_reply == expected


def test_images_and_links_are_found_and_hidden_links_invite_nobody() -> None:
    html = (
        "<img src=http://127.0.0.1/o.gif alt=x><a class='b' href='http://127.0.0.1/a?x=1&amp;y=2'>a</a>"
        '<A HREF="https://example.com/b">b</A><a style="display: none" href="http://127.0.0.1/trap">c</a>'
        '<a href="mailto:ada@example.com">d</a><a href="http://127.0.0.1/leave">e</a><img src="cid:logo">'
    )
    raw = f"List-Unsubscribe: <http://127.0.0.1/leave>\r\nContent-Type: text/html\r\n\r\n{html}".encode()
    found = Letter(raw, mail_from="ada@example.com", recipient="zoe@atelier.example")

    assert found.images == ("http://127.0.0.1/o.gif",)
    assert found.inviting_links == ("http://127.0.0.1/a?x=1&y=2", "https://example.com/b")
    assert set(found.links) - set(found.inviting_links) == {"http://127.0.0.1/trap", "http://127.0.0.1/leave"}


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from(["", "Content-Type: text/html; charset=x-none\r\n", "To: =?x?q?=0D?=\r\n"])
)
def test_no_bytes_keep_anybody_from_answering(body: bytes, head: str) -> None:
    strange = Letter(head.encode() + body, mail_from="ada@example.com", recipient="zoe@atelier.example")
    writing = Writing(strange, "<1@atelier.example>", NOW, random.Random(1), "en")

    assert isinstance(strange.automatic, bool)
    assert all(isinstance(url, str) for url in (*strange.images, *strange.links, strange.one_click))
    for write in (reply, absence, leave_by_mailto, complaint):
        assert "Bcc" not in message_from_bytes(write(writing).raw)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost.example/",
        "http://10.0.0.1/",
        "http://0.0.0.0/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::ffff:8.8.8.8]/",
        "http://[::1%25eth0]/",
        "http://[half",
        "http://127.0.0.1:99999/",
        "//127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_nothing_is_asked_of_anybody_but_this_machine(url: str) -> None:
    assert loopback_host(url) == ""
    with pytest.raises(ValueError, match="not on this machine"):
        await ask("GET", url, user_agent="x")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:8025/x", "127.0.0.1"),
        ("https://localhost/x", "127.0.0.1"),
        ("HTTP://127.8.9.10", "127.8.9.10"),
        ("http://[::1]:80/", "::1"),
    ],
)
def test_this_machine_has_many_names(url: str, host: str) -> None:
    assert loopback_host(url) == host


async def test_a_request_that_is_not_answered_is_no_error() -> None:
    assert await ask("GET", "http://127.0.0.1:9/", user_agent="x") == 0
