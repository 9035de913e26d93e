"""Read a finished message back as a stranger would, and compare it with what was meant.

``headers.check_headers`` looks at the names in every message. This reads all of it with the standard library's parser,
which takes longer than building it did, so it is done for the first message of each campaign: a mistake that is in the
template, the sender or the configuration is in that one already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aicmo.publishing.email.headers import HeaderMismatch
from aicmo.text import one_line


def prove(
    raw: bytes,
    *,
    names: Sequence[str],
    values: Mapping[str, str],
    mail_from: str,
    recipient: str,
    text: str,
    html: str,
) -> None:
    """Raises ``HeaderMismatch`` unless ``raw``, read back, is exactly this.

    ``names`` are its headers in their order, ``values`` what some of them say once decoded; ``mail_from`` and
    ``recipient`` the envelope; ``text`` and ``html`` the words of its two parts.
    """
    import email.policy  # the parser: only who builds a message pays for it
    from email.message import EmailMessage

    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    if read.keys() != list(names):
        raise _mismatch("its headers are not the intended ones")
    for name, value in values.items():
        if one_line(str(read[name])) != one_line(value):
            raise _mismatch(f"{name} says something else")
    for name, address in (("From", mail_from), ("To", recipient)):
        if [each.addr_spec for each in read[name].addresses] != [address]:
            raise _mismatch(f"{name} is not the envelope's address")
    parts = list(read.iter_parts())
    if [part.get_content_type() for part in parts] != ["text/plain", "text/html"]:
        raise _mismatch("its parts are not text and HTML")
    for part, words in zip(parts, (text, html), strict=True):
        if part.get_content().replace("\r\n", "\n") != _as_sent(words):
            raise _mismatch(f"its {part.get_content_subtype()} part reads differently")
    if any(part.defects or any(header.defects for header in part.values()) for part in read.walk()):
        raise _mismatch("a strict reader finds a defect in it")


def _as_sent(words: str) -> str:
    """Line ends and what is no character are what encoding makes of them."""
    lines = words.replace("\r\n", "\n").replace("\r", "\n")
    return lines.encode("utf-8", "replace").decode()


def _mismatch(what: str) -> HeaderMismatch:
    return HeaderMismatch(
        f"Read back, the message is not what was meant: {what}. It was not sent.",
        hint="Look at the contact's fields and the subject for what does not belong there.",
    )
