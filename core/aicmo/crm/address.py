"""Addresses: who somebody is.

A person is their normalised address: lower case, Unicode form NFC, the domain in its ASCII form (IDNA 2008), so that
``Jörg <Info@MÜLLER.example>`` and ``info@xn--mller-kva.example`` are one. Only the syntax is judged, without a network:
whether a mailbox exists is for its server to say. Dots and ``+tags`` are kept, because they tell mailboxes apart.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from typing import NamedTuple

from aicmo.crm.domains import registrable
from aicmo.errors import InvalidInput
from aicmo.text import one_line, shown

MAX_ADDRESS = 254
"""Characters in an address, MAX_LOCAL of them before the @ (RFC 5321 4.5.3.1, with its erratum 1690)."""
MAX_LOCAL = 64

# RFC 5322's dot-atom. Quoted local parts are legal and refused: nobody has one, every mistake looks like one.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]{0,61}[A-Za-z0-9]"
)
_IN_BRACKETS = re.compile(r"[^<>]*<\s*([^<>]*?)\s*>")
_HALF_DOMAIN = "the domain is not a full one, such as example.com"
_BETWEEN_ADDRESSES = re.compile(r"[\s,;/|<>]")


class Address(NamedTuple):
    address: str
    """Normalised: the identity."""
    email: str
    """As its owner writes it, without the display name."""
    domain: str
    """The registrable part of the domain, ASCII."""


class NotAnAddress(InvalidInput):
    """``reason`` is a phrase of a few words, such as ``no @``."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{shown(text)} is not an e-mail address: {reason}.")
        self.reason = reason


def normalise(text: str) -> Address:
    """The address in ``text``, which may also be ``Name <address>`` or ``mailto:address``. Raises ``NotAnAddress``."""
    local, at, domain = text.partition("@")
    if at and len(local) <= MAX_LOCAL and len(text) <= MAX_ADDRESS and _LOCAL.fullmatch(local):
        known = _ascii_domain(domain)
        if known is not None:
            return Address(f"{local.lower()}@{known[0]}", text, known[1])
    return _normalise_unusual(text)


def domain_of(text: str) -> str:
    """The registrable domain that a person means by a domain, a host under it or an address; what is none of these, in
    lower case."""
    domain = one_line(text).rpartition("@")[2]
    try:
        return normalise(f"x@{domain}").domain
    except NotAnAddress:
        return domain.lower()


@functools.lru_cache(maxsize=65_536)
def _ascii_domain(domain: str) -> tuple[str, str] | None:
    """A plain ASCII domain in lower case and its registrable part; None when it takes a closer look."""
    lower = domain.lower()
    if "xn--" in lower or not _DOMAIN.fullmatch(lower):
        return None
    return lower, registrable(lower)


def _normalise_unusual(text: str) -> Address:
    email = unicodedata.normalize("NFC", one_line(text))
    if bracketed := _IN_BRACKETS.fullmatch(email):
        email = bracketed[1]
    email = email.removeprefix("mailto:")
    if reason := _plain_fault(email):
        raise NotAnAddress(text, reason)

    import email_validator  # only an unusual address pays for it

    try:
        valid = email_validator.validate_email(email, check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError as error:
        raise NotAnAddress(text, _as_phrase(str(error))) from error
    domain = valid.ascii_domain.lower()
    if not _DOMAIN.fullmatch(domain):
        raise NotAnAddress(text, _HALF_DOMAIN)
    address = f"{valid.local_part.lower()}@{domain}"
    if len(address) > MAX_ADDRESS:
        raise NotAnAddress(text, f"longer than {MAX_ADDRESS} characters")
    return Address(unicodedata.normalize("NFC", address), email, registrable(domain))


def _plain_fault(email: str) -> str:
    """What is wrong at first sight, in words shorter than a validator's; empty when nothing is."""
    if not email:
        return "no address"
    if "@" not in email:
        return "no @"
    if email.count("@") > 1:
        return "two addresses in one cell" if _BETWEEN_ADDRESSES.search(email) else "more than one @"
    if " " in email:
        return "a space in it"
    if "." not in email.partition("@")[2]:
        return _HALF_DOMAIN
    if len(email.partition("@")[0]) > MAX_LOCAL:
        return f"more than {MAX_LOCAL} characters before the @"
    if len(email) > MAX_ADDRESS:
        return f"longer than {MAX_ADDRESS} characters"
    return ""


def _as_phrase(sentence: str) -> str:
    phrase = one_line(sentence, limit=120).rstrip(".")
    return phrase[:1].lower() + phrase[1:]
