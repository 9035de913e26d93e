"""What mailbox providers, the RFCs and the law ask of a campaign's message: a case for each rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from aicmo.errors import InvalidInput
from aicmo.publishing.email.headers import HeaderMismatch
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import (
    HEADERS,
    BuiltMessage,
    MessageBuilder,
    Recipient,
    SenderIdentity,
    sender_id,
)
from aicmo.publishing.email.rules import MessageRules
from aicmo.store.contents import Draft
from tests.publishing.letters import ADA, DRAFT, NOW, PAGE, built, parsed, read_strictly, signing

PLUS = MessageRules(LinkRules(unsubscribe_email="u+{token}@example.com"))
REPLIES = SenderIdentity("Ada", "news@example.com", "1 Way", reply_to="ada@example.com")
JANE = {"first_name": "Jane"}


def header(message: BuiltMessage, name: str) -> str:
    """As it stands in the bytes, folds and all; a header that is not there is empty."""
    head = message.raw.partition(b"\r\n\r\n")[0].decode() + "\r\n"
    found = re.search(rf"^{name}: (.*(?:\r\n[ \t].*)*)\r\n", head, re.MULTILINE)
    return found[1] if found else ""


def parts(message: BuiltMessage) -> tuple[str, str]:
    text, html = parsed(message).iter_parts()
    return text.get_content(), html.get_content()


def lines(message: BuiltMessage) -> list[bytes]:
    return message.raw.split(b"\r\n")


RULES: dict[str, Callable[[], bool]] = {
    # RFC 2046 5.1.4: the richest last
    "text comes first, then HTML": lambda: (
        [each.get_content_type() for each in parsed(built(**JANE)).iter_parts()] == ["text/plain", "text/html"]
    ),
    "a date that parses": lambda: parsed(built(**JANE))["Date"].datetime == NOW,
    "a Message-ID with the From's domain": lambda: built(**JANE).message_id == "<1.7.abc@example.com>",
    "an international domain in its ASCII form": lambda: built(
        sender=SenderIdentity("Zoë", "zoe@müller.example", "Weg 1"), **JANE
    ).message_id.endswith("@xn--mller-kva.example>"),
    "a Message-ID of its own for each delivery": lambda: (
        built(token="1.8.x", **JANE).message_id != built(token="1.7.x", **JANE).message_id
    ),
    "the same Message-ID for the same delivery": lambda: built(**JANE).message_id == built(**JANE).message_id,
    "From is the envelope's sender": lambda: header(built(**JANE), "From") == "Ada Lovelace <ada@example.com>",
    "Reply-To where replies are read": lambda: header(built(sender=REPLIES, **JANE), "Reply-To") == "ada@example.com",
    "no Reply-To that only repeats From": lambda: header(built(**JANE), "Reply-To") == "",
    # RFC 2369 3.2, and the way out without a web server
    "a mailto to unsubscribe, with the token": lambda: (
        header(built(**JANE), "List-Unsubscribe") == "<mailto:ada@example.com?subject=unsubscribe-1.7.abc>"
    ),
    "a mailto to where replies are read": lambda: (
        header(built(sender=REPLIES, **JANE), "List-Unsubscribe")
        == "<mailto:ada@example.com?subject=unsubscribe-1.7.abc>"
    ),
    "a plus address only where one is configured": lambda: (
        header(built(rules=PLUS, **JANE), "List-Unsubscribe")
        == "<mailto:u+1.7.abc@example.com?subject=unsubscribe-1.7.abc>"
    ),
    # RFC 8058
    "no One-Click without an https address": lambda: (
        header(built(**JANE), "List-Unsubscribe-Post") == "" and "http" not in header(built(**JANE), "List-Unsubscribe")
    ),
    "One-Click with an https address": lambda: (
        header(built(rules=PAGE, **JANE), "List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    ),
    "https and mailto, each between brackets": lambda: (
        header(built(rules=PAGE, **JANE), "List-Unsubscribe")
        == "<https://example.com/u/1.7.abc>,\r\n <mailto:ada@example.com?subject=unsubscribe-1.7.abc>"
    ),
    "the link of the body is the https one": lambda: all(
        "https://example.com/u/1.7.abc" in part and "mailto:" not in part for part in parts(built(rules=PAGE, **JANE))
    ),
    "both ways out are signed": lambda: (
        {"List-Unsubscribe", "List-Unsubscribe-Post"}
        <= {
            *re.sub(
                r"\s",
                "",
                header(built(rules=MessageRules(PAGE.links, signing()), **JANE), "DKIM-Signature")
                .partition("h=")[2]
                .partition(";")[0],
            ).split(":")
        }
    ),
    # RFC 2919
    "a List-Id that a person can read": lambda: header(built(**JANE), "List-Id") == "Ada Lovelace <news.example.com>",
    "a List-Id in brackets without a name": lambda: (
        header(built(sender=SenderIdentity("", "ada@example.com", "1 Way"), **JANE), "List-Id") == "<news.example.com>"
    ),
    "Precedence says bulk": lambda: header(built(**JANE), "Precedence") == "bulk",
    "auto-replies are asked not to come": lambda: header(built(**JANE), "X-Auto-Response-Suppress") == "OOF, AutoReply",
    # https://support.google.com/mail/answer/6254652
    "Feedback-ID has four parts": lambda: (
        header(built(variant="B", **JANE), "Feedback-ID") == "c12:s1B:campaign:examplecom"
    ),
    "Feedback-ID is the same for everybody": lambda: (
        header(built(to="a@b.example", token="1.9.z", **JANE), "Feedback-ID") == header(built(**JANE), "Feedback-ID")
    ),
    "a SenderId of 5 to 15 characters": lambda: all(
        re.fullmatch(r"[a-z0-9]{5,15}", sender_id(domain))
        for domain in ("a.io", "example.com", "a-very-long-name-indeed.example.co.uk", "xn--mller-kva.example")
    ),
    "no two long domains share a SenderId": lambda: (
        sender_id("a-very-long-name-one.example") != sender_id("a-very-long-name-two.example")
    ),
    # RFC 3834 5: a person wrote it, and reads the answers
    "no Auto-Submitted": lambda: "Auto-Submitted" not in parsed(built(**JANE)),
    # RFC 5321 4.4: the last server writes it
    "no Return-Path": lambda: "Return-Path" not in parsed(built(**JANE)),
    "no header besides": lambda: parsed(built(**JANE)).keys() == [name.decode() for name in HEADERS],
    "no personal header": lambda: not any(name.lower().startswith("x-aicmo") for name in parsed(built(**JANE))),
    "header lines of 78 at most": lambda: (
        max(map(len, built(Draft("wörd " * 60, "Hi"), first_name="Jane " * 15, last_name="Doe").raw.split(b"\r\n")))
        <= 78
    ),
    "CR and LF only together": lambda: (
        not any(
            b"\r" in line or b"\n" in line
            for line in lines(built(Draft("s", "{{ b }}", format="html"), b="a\rb\nc\r\nd\u2028e\x85f", **JANE))
        )
    ),
    "7-bit only, whatever is written": lambda: built(Draft("Grüße 陽菜", "Grüße 陽菜 👩‍🚀"), **JANE).raw.isascii(),
    "quoted-printable lines of 76 at most": lambda: (
        max(map(len, built(Draft("s", "x" * 5000 + "é" * 5000), **JANE).raw.partition(b"\r\n\r\n")[2].split(b"\r\n")))
        <= 76
    ),
    "names beyond ASCII are encoded and read back": lambda: (
        parsed(built(first_name="Zoë", last_name="陽菜"))["To"].addresses[0].display_name == "Zoë 陽菜"
    ),
    "an encoded name is ASCII on the way": lambda: (
        header(built(first_name="Zoë"), "To") == "=?utf-8?q?Zo=C3=AB?= <jane@acme.example>"
    ),
    # CAN-SPAM, 15 U.S.C. 7704(a)(5)
    "the postal address in both parts": lambda: all(
        "1 Analytical Way, London" in part for part in parts(built(**JANE))
    ),
    "a visible way out in both parts": lambda: all(
        "Unsubscribe" in part and "unsubscribe-1.7.abc" in part for part in parts(built(**JANE))
    ),
    "the preheader is hidden, first, in HTML only": lambda: (
        re.search(r'<body[^>]*><div style="display:none;[^>]*>Short</div>', parts(built(**JANE))[1]) is not None
        and "Short" not in parts(built(**JANE))[0]
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_message_keeps_the_rule(rule: str) -> None:
    assert RULES[rule]()


@pytest.mark.parametrize("rules", [MessageRules(), PAGE, PLUS, MessageRules(PAGE.links, signing())])
@pytest.mark.parametrize("sender", [ADA, REPLIES])
def test_every_combination_passes_a_strict_reader(rules: MessageRules, sender: SenderIdentity) -> None:
    read = read_strictly(built(sender=sender, rules=rules, **JANE))
    assert ("Reply-To" in read) == bool(sender.reply_to)
    assert ("List-Unsubscribe-Post" in read) == bool(rules.links.unsubscribe_url)
    assert ("DKIM-Signature" in read) == bool(rules.signer)


@pytest.mark.parametrize(
    "to",
    [
        "jörg@acme.example",  # SMTPUTF8 is not asked for: a server on the way may not offer it
        "jane@acme.example, x@evil.example",
        "Jane <jane@acme.example>",
        "jane@acme.example\r\nBcc: x@evil.example",
        "jane@acme.example>",
        "jane",
        "",
    ],
)
def test_what_is_not_one_address_that_every_server_takes_is_refused(to: str) -> None:
    with pytest.raises(InvalidInput):
        built(to=to, **JANE)


@pytest.mark.parametrize("sender", ["zoë@example.com", "Ada <ada@example.com>", "ada@example.com>\r\nBcc: x@y.example"])
def test_a_senders_address_that_cannot_be_used_is_refused_at_once(sender: str) -> None:
    for identity in (SenderIdentity("Ada", sender, ""), SenderIdentity("Ada", "ada@example.com", "", reply_to=sender)):
        with pytest.raises(InvalidInput):
            MessageBuilder(DRAFT, identity, "News")


@pytest.mark.parametrize(
    "links",
    [
        LinkRules(unsubscribe_url="https://x.example/{token}>\r\nBcc: x@evil.example"),
        LinkRules(unsubscribe_url="https://x.example/{token}\nBcc: x@evil.example"),
        LinkRules(unsubscribe_email="u+{token}@x.example>\r\nBcc: x@evil.example"),
        LinkRules(unsubscribe_email="u@x.example, x@evil.example"),
    ],
)
def test_a_way_out_adds_no_header_whoever_wrote_it(links: LinkRules) -> None:
    with pytest.raises(InvalidInput):
        built(rules=MessageRules(links), **JANE)


def test_a_message_goes_only_to_whom_the_ledger_is_about() -> None:
    builder = MessageBuilder(DRAFT, ADA, "News")
    for email, address in (("Jane@Acme.example", "jane@acme.example"), ("j@Bücher.example", "j@xn--bcher-kva.example")):
        assert builder.build(Recipient(email, JANE, "1.7.abc", address), NOW)
    with pytest.raises(HeaderMismatch, match=r"no longer jane@acme\.example"):
        builder.build(Recipient("john@acme.example", JANE, "1.7.abc", "jane@acme.example"), NOW)


def test_two_messages_of_one_campaign_differ_only_where_they_should() -> None:
    builder = MessageBuilder(DRAFT, ADA, "News")
    first = builder.build(Recipient("jane@acme.example", JANE, "1.7.abc"), NOW)
    again = builder.build(Recipient("jane@acme.example", JANE, "1.7.abc"), NOW)
    later = builder.build(Recipient("jane@acme.example", JANE, "1.8.abc"), NOW + timedelta(seconds=1))
    assert first == again
    differing = [a for a, b in zip(lines(first), lines(later), strict=True) if a != b]
    # the token stands in two headers and in the way out of each part, the new second in the date
    assert len(differing) == 5 and all(b"1.7.a" in line or line.startswith(b"Date: ") for line in differing)


def test_the_first_message_of_a_campaign_is_read_back_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in our own writing of the parts would stop the first message, and with it every other."""
    import aicmo.publishing.email.message as module

    proved: list[bytes] = []
    real = module.prove
    monkeypatch.setattr(module, "prove", lambda raw, **more: (proved.append(raw), real(raw, **more)))
    builder = MessageBuilder(DRAFT, ADA, "News")
    made = [builder.build(Recipient("jane@acme.example", JANE, f"1.{n}.abc"), NOW).raw for n in range(3)]
    assert proved == made[:1]
    monkeypatch.setattr(module, "_quoted", lambda text: b"something else")
    with pytest.raises(HeaderMismatch, match="plain part reads differently"):
        MessageBuilder(DRAFT, ADA, "News").build(Recipient("jane@acme.example", JANE, "1.7.abc"), NOW)


def test_the_documentation_names_every_header() -> None:
    told = (Path(__file__).parents[2] / "docs" / "sending.md").read_text(encoding="utf-8")
    with_all = built(sender=REPLIES, rules=MessageRules(PAGE.links, signing()), **JANE)
    common = {"To", "Subject", "Date", "MIME-Version", "Content-Type"}  # any message has these
    assert not [name for name in parsed(with_all) if name not in common and f"`{name}" not in told]
