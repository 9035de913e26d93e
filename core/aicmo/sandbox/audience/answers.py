"""The mails that the audience writes: replies, absence notes, and the ways to say goodbye.

Each is made of plain ASCII: text as quoted-printable, header values folded, what was encoded before left as it was. All
that is drawn comes from ``dice``, so the same act writes the same mail.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.header import Header
from email.utils import format_datetime
from random import Random

from aicmo.sandbox.audience.letter import Letter
from aicmo.sandbox.audience.words import ENGLISH_SPEAKERS, LANGUAGES, Words

_LINE = 76
_QUOTED_LINES = 40
_OTHERS = tuple(LANGUAGES)[1:]


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished mail."""

    raw: bytes
    """CRLF line ends, ASCII but for a mail that is returned in it as it came."""
    how: str
    """See ``Act.how``."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What every answer is made from."""

    letter: Letter
    message_id: str
    """Of the answer, with its angle brackets."""
    at: datetime
    dice: Random
    language: str
    """A key of ``LANGUAGES``."""

    @property
    def words(self) -> Words:
        return LANGUAGES[self.language]

    @property
    def thread(self) -> list[tuple[str, str]]:
        """In-Reply-To and References (RFC 5322 3.6.4); none for a letter without a Message-ID."""
        answered = self.letter.header("Message-ID")
        if not answered:
            return []
        before = self.letter.header("References") or self.letter.header("In-Reply-To")
        return [("In-Reply-To", answered), ("References", f"{before} {answered}".strip())]

    @property
    def subject(self) -> str:
        """``Re:`` once, and the letter's own."""
        subject = self.letter.header("Subject")
        return subject if subject.lower().startswith("re:") else f"Re: {subject}"


def language_of(habits: Random) -> str:
    """The language of somebody with these habits."""
    return "en" if habits.random() < ENGLISH_SPEAKERS else habits.choice(_OTHERS)


def reply(writing: Writing) -> Answer:
    """What a person writes back, with or without a quote, above or below it."""
    how = writing.dice.choices(("top", "below", "bare", "new subject"), (60, 15, 15, 10))[0]
    said = writing.dice.choice(writing.words.replies)
    quote = _quote(writing)
    text = {"top": f"{said}\n\n{quote}", "below": f"{quote}\n\n{said}"}.get(how, said)
    subject = encoded(writing.words.new_subject, "Subject") if how == "new subject" else writing.subject
    return Answer(_from_person(writing, subject, text, writing.letter.reply_to, writing.thread), how)


def leave_in_words(writing: Writing) -> Answer:
    """Somebody wants no more of it and says so, in their own words and mostly above the whole mail."""
    said = writing.dice.choice(writing.words.leave_me_alone)
    text = f"{said}\n\n{_quote(writing)}" if writing.dice.random() < 0.7 else said
    return Answer(_from_person(writing, writing.subject, text, writing.letter.reply_to, writing.thread), "words")


def leave_by_mailto(writing: Writing) -> Answer:
    """The mail that List-Unsubscribe asks for; in words where it asks for none."""
    asked = writing.letter.unsubscribe_mailto
    if asked is None:
        return leave_in_words(writing)
    to = asked.to if asked.to.isascii() else writing.letter.reply_to
    return Answer(_from_person(writing, encoded(asked.subject, "Subject"), asked.body, to, []), "mailto")


def absence(writing: Writing) -> Answer:
    """An absence note: declared as such, to the envelope's sender, without one of its own (RFC 3834 3 and 4)."""
    subject = encoded(writing.words.away_subject, "Subject") + " " + writing.letter.header("Subject")
    headers = [*writing.thread, ("Auto-Submitted", "auto-replied")]
    style = writing.dice.choice(("plain", "exchange", "vacation"))
    if style == "exchange":
        headers.append(("X-Auto-Response-Suppress", "All"))
    elif style == "vacation":
        headers += [("Precedence", "bulk"), ("X-Autoreply", "yes")]
    text = writing.dice.choice(writing.words.away)
    to = writing.letter.mail_from
    return Answer(_from_person(writing, subject, text, to, headers, return_path=""), style)


def encoded(value: str, name: str) -> str:
    """``value`` as a header's, in encoded-words where ASCII will not do (RFC 2047)."""
    return value if value.isascii() else Header(value, "utf-8", header_name=name).encode(linesep="\r\n")


def head(fields: Sequence[tuple[str, str]]) -> bytes:
    """A header block with its lines folded between words; it ends with the empty line."""
    lines: list[str] = []
    for name, value in fields:
        line = f"{name}:"
        for word in value.split():
            if len(line) + 1 + len(word) > _LINE and not line.endswith(":"):
                lines.append(line)
                line = ""
            line += f" {word}"
        lines.append(line)
    return "\r\n".join((*lines, "", "")).encode("ascii")


def text_part(text: str) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body of a text in any language, in short lines of ASCII (RFC 2045 6.7)."""
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Transfer-Encoding", "quoted-printable")]
    lines = "\r\n".join((*text.splitlines(), ""))
    return fields, binascii.b2a_qp(lines.encode("utf-8", "replace"), istext=True)


def _from_person(
    writing: Writing,
    subject: str,
    text: str,
    to: str,
    more: Sequence[tuple[str, str]],
    *,
    return_path: str | None = None,
) -> bytes:
    described, body = text_part(text)
    person = writing.letter.recipient
    fields = [
        ("Return-Path", f"<{person if return_path is None else return_path}>"),
        ("From", writing.letter.signature),
        ("To", to),
        ("Subject", subject),
        ("Date", format_datetime(writing.at)),
        ("Message-ID", writing.message_id),
        *more,
        ("MIME-Version", "1.0"),
        *described,
    ]
    return head(fields) + body


def _quote(writing: Writing) -> str:
    """The beginning of what is answered, each line marked."""
    lines = writing.letter.text.strip().splitlines()[:_QUOTED_LINES]
    quoted = [f"> {line}" if line else ">" for line in lines]
    return "\n".join((writing.words.wrote.format(who=writing.letter.reply_to), *quoted))
