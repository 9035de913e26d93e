"""What is kept of one provider's OAuth tokens: the record in the token file, and what may be told of it.

The record holds secrets, so its fields stay out of every ``repr``; whoever tells a person about it takes ``standing``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

TRANSIENT, SIGN_IN, CLIENT = "transient", "sign_in", "oauth_client"
"""Why there is no access token: it passes by itself; the person has to sign in again; the client is set up wrongly.
The last two are causes of a recommendation."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Everything known; the defaults are: nothing."""

    refresh_token: str = field(default="", repr=False)
    """The newest one the server gave. Empty: none yet, the configured one holds."""
    access_token: str = field(default="", repr=False)
    expires_at: datetime | None = None
    """Of the access token, by this machine's clock."""
    refreshed_at: datetime | None = None
    """When the access token was given."""
    seed_key: str = field(default="", repr=False)
    seed_mark: str = field(default="", repr=False)
    """The configured refresh token under a keyed hash: enough to see that another one was configured."""
    asked_at: datetime | None = None
    """Set while an answer of the server is not kept yet: it stays when the asking process was killed."""
    trouble: str = ""
    """``transient``, ``sign_in``, ``oauth_client``; empty when the last refresh went well."""
    why: str = ""
    """The trouble in a sentence, without secrets."""
    trouble_at: datetime | None = None
    retry_at: datetime | None = None
    """The server is not asked again before then."""

    @property
    def standing(self) -> TokenStanding:
        return TokenStanding(self.expires_at, self.refreshed_at, self.trouble, self.why, self.trouble_at)


@dataclass(frozen=True, slots=True)
class TokenStanding:
    """What may be told of a provider's tokens."""

    expires_at: datetime | None = None
    """When the access token ends; ``None`` when there is none."""
    refreshed_at: datetime | None = None
    trouble: str = ""
    why: str = ""
    trouble_at: datetime | None = None

    @property
    def needs_person(self) -> bool:
        """Whether no refresh can succeed before somebody does something."""
        return self.trouble in (SIGN_IN, CLIENT)

    @property
    def signed_in(self) -> bool | None:
        """``None`` when nobody knows: no refresh was tried yet."""
        if self.needs_person:
            return False
        return True if self.refreshed_at else None

    def told(self, now: datetime) -> str:
        """In a few words: how long the access token holds, or what it takes to have one."""
        left_s = self.expires_in_s(now)
        if self.needs_person:
            return "sign in again" if self.trouble == SIGN_IN else "wrong OAuth client"
        if left_s is None:
            return "no token yet"
        return f"token expires in {left_s // 60} min" if left_s >= 60 else f"token expires in {left_s} s"

    def expires_in_s(self, now: datetime) -> int | None:
        """Whole seconds until the access token ends, 0 when it has; ``None`` when there is none."""
        return None if self.expires_at is None else max(int((self.expires_at - now).total_seconds()), 0)
