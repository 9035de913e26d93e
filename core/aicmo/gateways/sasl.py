"""How a mail server is told a secret, and how that is recognised again when the server repeats it."""

from __future__ import annotations

import base64
from collections.abc import Iterable


def plain_message(username: str, password: str) -> bytes:
    """RFC 4616."""
    return f"\0{username}\0{password}".encode()


def xoauth2_message(username: str, token: str) -> bytes:
    """As Google and Microsoft document XOAUTH2, for SMTP and IMAP alike."""
    return f"user={username}\1auth=Bearer {token}\1\1".encode()


def as_echoed(username: str | None, secrets: Iterable[str]) -> tuple[str, ...]:
    """``secrets`` in each form in which a server could send them back, the longest first."""
    forms = {form for secret in secrets for form in _forms(username or "", secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _forms(username: str, secret: str) -> tuple[str, ...]:
    messages = (plain_message(username, secret), xoauth2_message(username, secret), secret.encode())
    return (secret, *(base64.b64encode(message).decode() for message in messages))
