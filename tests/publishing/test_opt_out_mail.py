"""Which mails opt somebody out, and which do not: one raw mail at a time."""

from __future__ import annotations

import base64

import pytest

from aicmo.publishing.email.tokens import delivery_token
from aicmo.publishing.inbox.optouts import OptOut, opt_out_in
from aicmo.publishing.inbox.stop_words import is_stop
from aicmo.sandbox.audience.words import LANGUAGES
from aicmo.store.meta import Identity

OURS = Identity(b"s" * 32, b"i" * 16)
TOKEN = delivery_token(OURS, 3, 41)
FORGED = TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1")
ANSWERED = f"In-Reply-To: <{TOKEN}@example.com>"
BY_TOKEN = OptOut((3, 41), "")
IN_WORDS = OptOut((3, 41), "ann@acme.example")
UNASKED = OptOut(None, "ann@acme.example")


def mail(*headers: str, body: str = "", sender: str = "Ann <Ann@ACME.example>") -> bytes:
    return "\r\n".join((f"From: {sender}", *headers, "", *body.split("\n"), "")).encode()


def heard(raw: bytes) -> OptOut | None:
    return opt_out_in(raw, OURS, {"ada@example.com"})


def in_base64(text: str) -> str:
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    "header",
    [
        f"Subject: unsubscribe-{TOKEN}",
        f"Subject: Re: UNSUBSCRIBE-{TOKEN.upper()}",
        f"Subject: Fwd: AW: unsubscribe-{TOKEN} (sent by my mail program)",
        f"Subject: unsubscribe-{TOKEN[:9]}\r\n {TOKEN[9:]}",
        f"Subject: {in_base64(f'unsubscribe-{TOKEN[:5]}')}\r\n {in_base64(TOKEN[5:])}",
        f"Subject: unsubscribe-{FORGED} unsubscribe-{TOKEN}",
        f"To: Ada <ada+{TOKEN}@example.com>",
        f"To: ADA+{TOKEN.upper()}@EXAMPLE.COM",
        f"Cc: x@y.example, leave-{TOKEN}@example.com",
        f"Delivered-To: ada+{TOKEN}@example.com",
        f"X-Original-To: ada+{TOKEN}@example.com",
    ],
)
def test_a_token_of_ours_is_believed_wherever_a_mail_program_puts_it(header: str) -> None:
    assert heard(mail(header, "Auto-Submitted: auto-generated", sender="other@elsewhere.example")) == BY_TOKEN


@pytest.mark.parametrize(
    "header",
    [
        f"Subject: unsubscribe-{FORGED}",
        f"Subject: unsubscribe-4{TOKEN[1:]}",
        f"Subject: unsubscribe-{TOKEN[:-1]}",
        f"Subject: {TOKEN}",
        f"To: ada+{FORGED}@example.com",
        f"X-Other: ada+{TOKEN}@example.com",
        "Subject: unsubscribe-" + "9" * 30_000,
    ],
)
def test_a_forged_or_misplaced_token_does_nothing(header: str) -> None:
    assert heard(mail(header, body="stop")) is None


@pytest.mark.parametrize(
    "headers",
    [
        ["Auto-Submitted: auto-replied"],
        ["Auto-Submitted: AUTO-REPLIED; owner-email=x"],
        ["Content-Type: multipart/report; boundary=x"],
        ["X-Failed-Recipients: ann@acme.example"],
        [f"Message-ID: <{TOKEN}@example.com>"],
    ],
)
def test_no_machine_and_no_mail_of_ours_opts_anybody_out(headers: list[str]) -> None:
    assert heard(mail(f"Subject: unsubscribe-{TOKEN}", *headers)) is None
    assert heard(mail(ANSWERED, *headers, body="unsubscribe")) is None


@pytest.mark.parametrize("sender", ["Ada <ada@example.com>", "MAILER-DAEMON@mx.example", "postmaster@mx.example"])
def test_neither_we_nor_a_mail_system_opt_anybody_out(sender: str) -> None:
    assert heard(mail(f"Subject: unsubscribe-{TOKEN}", ANSWERED, body="stop", sender=sender)) is None


QUOTE = "\n\nOn Tuesday, Ada Lovelace <ada@example.com>\nwrote:\n\n> Hello\n> \n> Unsubscribe: mailto:ada@example.com"


@pytest.mark.parametrize(
    "body",
    [
        "unsubscribe",
        "STOP!!",
        "Please remove me from your list. Thank you!",
        "Stop." + QUOTE,
        QUOTE.strip() + "\n\nremove me",
        "Abmelden bitte\n-- \nAnn\nACME AG",
        "Bitte keine weiteren E-Mails.",
        "Keine Emails mehr schicken, bitte!",
        "Me désabonner, merci\n\nEnvoyé de mon iPhone",
        "Unsubscribe\n\n-----Original Message-----\nFrom: Ada\nHello",
        "Baja\n\nDe: Ada <ada@example.com>\nEnviado: martes\n\nHello",
    ],
)
def test_a_reply_that_says_nothing_but_stop_is_an_opt_out(body: str) -> None:
    raw = mail(ANSWERED, "Subject: Re: News", "Content-Type: text/plain; charset=utf-8", body=body)
    assert heard(raw) == IN_WORDS
    assert heard(raw.replace(b"In-Reply-To: ", b"References: <before@x.example> ")) == IN_WORDS


@pytest.mark.parametrize(
    "body",
    [
        "",
        "> stop",
        "Please do not stop writing to me.",
        "Stop by when you are in town!",
        "unsubscribe" + " please" * 60,
        "Who wrote this? I would never unsubscribe.",
        "Remove me from the list of speakers, but keep me on yours.",
        "Thanks",
        "Thanks, see you on Thursday." + QUOTE + "\n> unsubscribe",
        "Thanks, great.\n-- \nunsubscribe",
    ],
)
def test_a_reply_that_says_anything_else_is_left_to_a_person(body: str) -> None:
    assert heard(mail(ANSWERED, "Subject: Re: News", body=body)) is None


@pytest.mark.parametrize(
    "header",
    ["Auto-Submitted: auto-generated", "Precedence: bulk", "X-Auto-Response-Suppress: All", "Return-Path: <>"],
)
def test_plain_words_that_a_machine_wrote_count_for_nothing(header: str) -> None:
    assert heard(mail(ANSWERED, body="stop")) == IN_WORDS
    assert heard(mail(ANSWERED, header, body="stop")) is None


@pytest.mark.parametrize(
    ("subject", "body", "said"),
    [
        ("unsubscribe", "", UNASKED),
        ("Re: Unsubscribe", "please unsubscribe me", UNASKED),
        (in_base64("Désinscription"), "", UNASKED),
        ("unsubscribe", "Do I unsubscribe here? I like it, but my boss asks.", None),
        ("How to unsubscribe", "stop", None),
        ("News", "stop", None),
    ],
)
def test_a_new_mail_needs_the_word_in_its_subject(subject: str, body: str, said: OptOut | None) -> None:
    assert heard(mail(f"Subject: {subject}", body=body)) == said
    assert heard(mail(f"Subject: {subject}", "In-Reply-To: <someone@else.example>", body=body)) == said


def test_a_mail_in_html_alone_is_read_without_what_it_quotes() -> None:
    kind = "Content-Type: text/html; charset=utf-8"
    quoted = "<p>stop</p><p>Ada wrote:</p><blockquote><p>Hello</p></blockquote>"
    assert heard(mail(ANSWERED, kind, body=quoted)) == IN_WORDS
    assert heard(mail(ANSWERED, kind, body=quoted.replace("<p>stop", "<p>go on"))) is None


NESTED = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(1_500))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe\x00" * 400,
        mail("Subject: =?utf-8?b?a?=", body="x"),
        mail("Subject: =?no-such-charset?q?stop?=", ANSWERED, body="x"),
        b"From: \xe4\xf6@\xfc\r\nSubject: \xe4\xff unsubscribe\r\n\r\nx",
        mail("Content-Type: text/plain; charset=nonsense", ANSWERED, body="x"),
        mail("Content-Transfer-Encoding: base64", ANSWERED, body="====%%%"),
        mail("Content-Type: multipart/mixed; boundary=\xff", ANSWERED, body="--\xff\n\nstop"),
        mail(*["To: " + "<" * 9_000], ANSWERED, body="x"),
        f"From: a@b.example\r\n{ANSWERED}\r\n".encode() + NESTED,
    ],
)
def test_a_broken_mail_is_no_opt_out_and_stops_nothing(raw: bytes) -> None:
    assert heard(raw) is None


def test_a_token_counts_in_a_mail_whose_body_cannot_be_read() -> None:
    assert heard(mail(f"Subject: unsubscribe-{TOKEN}", body="\0" * 2_000_000)) == BY_TOKEN


def test_the_short_goodbyes_of_every_language_of_the_sandbox_are_understood() -> None:
    understood = {each for words in LANGUAGES.values() for each in words.leave_me_alone if is_stop(each)}
    assert {"unsubscribe", "STOP", "Désinscription", "Abmelden", "Baja", "Wypisz mnie"} <= understood
    assert "配信を停止してください。" in understood
    assert not any(is_stop(each) for words in LANGUAGES.values() for each in (*words.replies, *words.away))
