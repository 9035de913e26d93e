"""Whatever people and authors write, a message's headers are the intended ones and its recipient is the envelope's."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Sequence
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.publishing.email import headers, message
from aicmo.publishing.email.headers import HeaderMismatch
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import HEADERS, BuiltMessage, MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.rules import MessageRules
from aicmo.store.contents import Draft
from aicmo.text import one_line
from tests.publishing.letters import ADA, DRAFT, NOW, PAGE, as_sent, built, read_strictly

POLICIES = (email.policy.default, email.policy.SMTP, email.policy.compat32)
NAMES = [name.decode() for name in HEADERS]

PIECES = (
    "\r\nBcc: x@evil.example\r\n",
    "\r\n\r\n<b>a body of its own</b>",
    "\nX: y",
    "\rX: y",
    "=?utf-8?q?A=0D=0ABcc=3A_x=40evil.example?=",
    "=?utf-8?b?DQpCY2M6IHhAZXZpbC5leGFtcGxl?=",
    "=?iso-8859-1?q?=0A?=",
    "=?",
    "?=",
    "\0",
    "\x85",
    "\u2028",
    "\u2029",
    "\u202e",
    "\u2066",
    "\u200b",
    "\ud800",
    "\udfff",
    "\ufeff",
    '"',
    "\\",
    '\\"',
    ",",
    ";",
    ":",
    "<",
    ">",
    "@",
    "<x@evil.example>",
    "x@evil.example, y@evil.example",
    "undisclosed-recipients:;",
    "(comment)",
    "{{ 7 * 7 }}",
    "é",
    "陽菜",
    "👩‍🚀",
    "שלום",
    "word" * 30,
    "W" * 1200,
    " ",
    "\t",
    ".",
    "=",
    "_",
)
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=6).map("".join)
SETTINGS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def hostile_message(
    first: str, last: str, subject: str, field: str, title: str, sender: str, rules: MessageRules = PAGE
) -> BuiltMessage:
    """One in which every place that somebody can fill holds what they like. Fields arrive as they are, not made plain:
    what builds a message trusts nobody before it."""
    draft = Draft("{{ subject }} x", "Hello {{ first_name }} of {{ field }},\n\nread on.\n", "for {{ field }}")
    identity = SenderIdentity(sender, "ada@example.com", "1 Way", reply_to="replies@example.com")
    values = {"first_name": first, "last_name": last, "subject": subject, "field": field}
    return built(draft, identity, rules, campaign_name=title, **values)


def addresses(read: Message, name: str) -> list[str]:
    return [address for _, address in getaddresses([str(read[name]).replace("\r\n", "").replace("\n", "")])]


def assert_only_what_was_meant(made: BuiltMessage, names: Sequence[str]) -> None:
    read_strictly(made)
    for policy in POLICIES:
        read = email.message_from_bytes(made.raw, policy=policy)
        assert read.keys() == list(names)
        assert not read.defects and not any(part.defects for part in read.walk())
        assert addresses(read, "To") == [made.recipient] == ["jane@acme.example"]
        assert addresses(read, "From") == [made.mail_from] == ["ada@example.com"]
        assert addresses(read, "Reply-To") == ["replies@example.com"]
        assert read["Message-ID"] == made.message_id
        bodies = [part.get_payload(decode=True) for part in read.walk() if not part.is_multipart()]
        for body, words in zip(bodies, (made.words.text, made.words.html), strict=True):
            assert isinstance(body, bytes)
            assert body.decode().replace("\r\n", "\n") == as_sent(words)


@SETTINGS
@given(first=HOSTILE, last=HOSTILE, subject=HOSTILE, field=HOSTILE, title=HOSTILE, sender=HOSTILE)
def test_headers_and_recipients_are_the_intended_ones_for_hostile_words(
    first: str, last: str, subject: str, field: str, title: str, sender: str
) -> None:
    names = [*NAMES]
    names.insert(1, "Reply-To")
    names.insert(names.index("List-Unsubscribe") + 1, "List-Unsubscribe-Post")
    made = hostile_message(first, last, subject, field, title, sender)
    assert_only_what_was_meant(made, names)


@SETTINGS
@given(subject=HOSTILE, name=HOSTILE)
def test_the_subject_and_the_name_read_as_they_were_written(subject: str, name: str) -> None:
    made = built(Draft("{{ s }} x", "Hi"), s=subject, first_name=name)
    read = read_strictly(made)
    meant = one_line(f"{subject} x")
    assert one_line(str(read["Subject"])) == meant == made.words.subject
    # Between two encoded-words of a name the modern parser of Python 3.11 puts a space, so the older one reads it.
    (shown, _), *rest = getaddresses([str(email.message_from_bytes(made.raw)["To"]).replace("\r\n", "")])
    assert not rest
    decoded = str(make_header(decode_header(shown))) if "=?" in shown else shown
    assert one_line(decoded) == (one_line(name) if len(one_line(name)) <= headers.LONGEST_NAME else "")


@SETTINGS
@given(title=HOSTILE, source=HOSTILE.filter(one_line))
def test_campaign_parameters_bring_nothing_into_a_message(title: str, source: str) -> None:
    rules = MessageRules(LinkRules(utm={"utm_source": one_line(source)}))
    body = "[x](https://x.example/) {{ first_name }}"
    made = built(Draft("s", body), rules=rules, campaign_name=title, first_name="Jane")
    assert read_strictly(made).keys() == NAMES
    assert "https://x.example/?utm_source=" in made.words.text


HIDDEN_BREAK = "=?utf-8?q?A=0D=0ABcc=3A_x=40evil.example?="
BREAK = "A\r\nBcc: x@evil.example"


@pytest.mark.parametrize("value", [BREAK, "A\nX: y", "A\rX: y", "A\0"])
def test_without_the_encoders_guard_the_check_stops_the_message(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """Two guards stand behind one another: with the first taken out, the second holds."""
    monkeypatch.setattr(message, "unstructured", lambda text, name: f"{value}{text}")
    with pytest.raises(HeaderMismatch):
        built(first_name="Jane")


def test_every_message_is_compared_with_what_was_meant_not_only_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    builder = MessageBuilder(DRAFT, ADA, "News")
    jane = Recipient("jane@acme.example", {"first_name": "Jane"}, "1.7.abc")
    builder.build(jane, NOW)
    monkeypatch.setattr(message, "unstructured", lambda text, name: f"{BREAK}{text}")
    with pytest.raises(HeaderMismatch, match="would have changed the message's headers"):
        builder.build(jane, NOW)


def test_without_both_guards_a_header_would_be_injected(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the fuzz above can fail."""
    monkeypatch.setattr(message, "unstructured", lambda text, name: f"{BREAK} {text}")
    monkeypatch.setattr(message, "check_headers", lambda block, intended: None)
    with pytest.raises(HeaderMismatch, match="its headers are not the intended ones"):
        built(first_name="Jane")  # the first message is also read back
    monkeypatch.setattr(message, "prove", lambda raw, **more: None)
    with pytest.raises(AssertionError):
        assert_only_what_was_meant(built(first_name="Jane"), NAMES)


def test_an_encoded_word_that_is_let_through_is_found_when_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader decodes is looked at, not only what stands there."""
    monkeypatch.setattr(message, "unstructured", lambda text, name: HIDDEN_BREAK)
    with pytest.raises(HeaderMismatch, match="Subject says something else"):
        built(first_name="Jane")


@SETTINGS
@given(value=HOSTILE, name=HOSTILE)
def test_a_header_value_is_safe_by_itself(value: str, name: str) -> None:
    """Whoever calls the encoder, with whatever: between its folds there is no line end, and nothing but ASCII."""
    for encoded in (headers.unstructured(value, name="Subject"), headers.mailbox(name, "a@b.example", header="To")):
        assert encoded.isascii() and not re.search(r"[\r\n\0]", encoded.replace("\r\n ", ""))
        assert not any(line.strip() == "" for line in encoded.split("\r\n")[1:])
