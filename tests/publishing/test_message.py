"""A message says what was meant, whatever its recipient is called."""

from __future__ import annotations

import re
from binascii import a2b_base64
from email.header import Header, decode_header, make_header
from email.message import EmailMessage
from quopri import decodestring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.publishing.email.headers import HeaderMismatch, check_headers, unstructured
from aicmo.publishing.email.message import HEADERS, BuiltMessage, SenderIdentity, _quoted
from aicmo.sandbox.people import HOSTILE_FIRST_NAMES
from aicmo.store.contents import Draft
from aicmo.text import one_line
from tests.publishing.letters import built, parsed, read_strictly

NAMES = [header.decode() for header in HEADERS]


def assert_sound(message: BuiltMessage) -> EmailMessage:
    """What a strict reader asks, and the intended headers and no other."""
    read = read_strictly(message)
    assert read.keys() == NAMES
    return read


def test_a_message_has_both_parts_and_the_way_out_in_each() -> None:
    read = assert_sound(built(first_name="Jane"))
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert text is not None and html is not None
    for body in (text.get_content(), html.get_content()):
        assert "Hello" in body and "Jane" in body and "1 Analytical Way, London" in body
        assert "unsubscribe-1.7.abc" in body
    assert "the tour (https://news.example/?a=1&b=2)" in text.get_content()
    assert read["List-Unsubscribe"] == "<mailto:ada@example.com?subject=unsubscribe-1.7.abc>"
    assert read["Message-ID"] == "<1.7.abc@example.com>" == built(first_name="Jane").message_id
    assert (read["Subject"], read["Precedence"]) == ("News for Jane", "bulk")


@pytest.mark.parametrize(
    "name",
    [*HOSTILE_FIRST_NAMES, "a\r\nBcc: x@evil.example", 'q"uote\\', "Ünal", ", ; <x@y.example>"],
    ids=lambda name: ascii(name[:30]),
)
def test_a_hostile_name_adds_no_header_and_no_recipient(name: str) -> None:
    read = assert_sound(built(first_name=name))
    assert one_line(read["Subject"]) == one_line(f"News for {name}")
    assert "Bcc" not in read


@settings(deadline=None)
@given(st.lists(st.sampled_from(("word ", "é", "=", ".", " ", "\t", "\0", "\ud800", "x" * 75, "\n", "\r\n", "\r"))))
def test_any_words_come_back_from_short_lines_without_a_blank_at_the_end(pieces: list[str]) -> None:
    """RFC 2045 6.7: 76 characters, and what a server may strip is encoded."""
    words = "".join(pieces)
    lines = _quoted(words).split(b"\r\n")
    assert all(len(line) <= 76 and line.isascii() and not line.endswith((b" ", b"\t")) for line in lines)
    meant = words.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace")
    assert decodestring(b"\n".join(lines)) == meant and not any(b"\n" in line or b"\r" in line for line in lines)


@settings(deadline=None)
@given(
    name=st.text(min_size=1).filter(lambda text: one_line(text)),
    subject=st.text(alphabet=st.characters(exclude_characters="{}%#")).filter(lambda text: one_line(text)),
)
def test_headers_say_what_was_meant_for_any_name_and_subject(name: str, subject: str) -> None:
    message = built(Draft(subject + " {{ first_name }}", "Hi"), first_name=one_line(name))
    read = assert_sound(message)
    # The reader folds white space; what one_line made of it is what was meant.
    assert one_line(str(read["Subject"])) == message.words.subject


def decoded(header: str) -> str:
    """Unfolded (RFC 5322 2.2.3), then read by the standard library."""
    return str(make_header(decode_header(header.replace("\r\n", ""))))


WORDS = st.text().map(one_line).filter(lambda text: text and "=?" not in text)
LONG = (st.text("é ü", min_size=30) | st.text("陽菜 x", min_size=40)).map(one_line).filter(bool)


@settings(deadline=None)
@given(
    value=WORDS | st.text("é ü", min_size=30).map(one_line).filter(bool) | st.text("陽菜 x", min_size=40).map(one_line)
)
def test_our_encoder_says_what_the_standard_librarys_says(value: str) -> None:
    header = unstructured(value, name="Subject")
    if not value.isascii():
        reference = Header(value, "utf-8", header_name="Subject", maxlinelen=76).encode(linesep="\r\n")
        assert decoded(header) == decoded(reference) == value
        assert len(header) <= 2 * len(reference)
    lines = f"Subject: {header}".split("\r\n")
    assert header.isascii() and all(line.startswith(" ") for line in lines[1:])
    assert max(map(len, lines)) <= 76
    for word in re.findall(r"=\?utf-8\?([qb])\?(.*?)\?=", header) if not value.isascii() else []:
        assert word[1] and (a2b_base64(word[1]) if word[0] == "b" else decodestring(word[1], header=True)).decode()


@given(words=st.lists(st.text("abc,.-!", min_size=1, max_size=50), min_size=1, max_size=20))
def test_a_long_plain_header_is_folded_between_its_words(words: list[str]) -> None:
    header = unstructured(" ".join(words), name="Subject")
    assert header.replace("\r\n", "") == " ".join(words)
    assert max(map(len, f"Subject: {header}".split("\r\n"))) <= 76


@pytest.mark.parametrize(
    "block",
    [
        b"From: a\r\nBcc: x\r\n",
        b"From: a\r\n\r\nbody",
        b"From: a\rBcc: x\r\n",
        b"From: \xff\r\n",
        b"From: a\0\r\n",
        b"From: a\r\nx\r\n",
    ],
)
def test_a_block_of_headers_that_was_not_meant_is_refused(block: bytes) -> None:
    with pytest.raises(HeaderMismatch):
        check_headers(block, [b"From"])


def test_a_field_is_never_read_as_markdown_html_or_template() -> None:
    name = "**x** <b>y</b> {{ 7 * 7 }}"
    read = parsed(built(first_name=name))
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert text is not None and name in text.get_content()
    assert html is not None and "**x** &lt;b&gt;y&lt;/b&gt; {{ 7 * 7 }}" in html.get_content()


def test_an_international_sender_and_domain_are_encoded() -> None:
    read = parsed(built(sender=SenderIdentity("Zoë Müller", "zoe@müller.example", "Weg 1"), first_name="Jane"))
    assert read["From"].addresses[0].display_name == "Zoë Müller"
    assert read["Message-ID"].endswith("@xn--mller-kva.example>")


def test_replies_and_unsubscribes_go_where_the_sender_reads() -> None:
    sender = SenderIdentity("Ada", "news@example.com", "1 Way", reply_to="ada@example.com")
    read = parsed(built(sender=sender, first_name="Jane"))
    assert read["Reply-To"] == "ada@example.com"
    assert read["List-Unsubscribe"].startswith("<mailto:ada@example.com?")
