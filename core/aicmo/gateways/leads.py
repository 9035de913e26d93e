"""Who a person is, and what a provider of enrichment or verification says of them.

Publishing, crm and the providers all speak in these values; none of them knows a provider's own words, but each keeps
them, so that a doubtful verdict can be traced to who gave it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

NOTHING = Decimal(0)
_ADDRESS = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]+\.[^\s@<>()\[\],;:\\\"]+")


@dataclass(frozen=True, slots=True)
class Lead:
    """Who is asked about, as far as is known. Empty: not known."""

    email: str = ""
    first_name: str = ""
    last_name: str = ""
    company: str = ""
    domain: str = ""
    """Of the company: ``example.com``, without ``www.``."""
    linkedin_url: str = ""

    @property
    def can_be_found(self) -> bool:
        """Whether asking can be worth its price: an address, a LinkedIn page, or a name with a company."""
        return bool(self.email or self.linkedin_url or (self.last_name and (self.domain or self.company)))


@dataclass(frozen=True, slots=True)
class FieldValue:
    """One fact, and whose word it is."""

    value: str
    provider: str
    at: datetime
    credits: Decimal = NOTHING
    """What the answer it came with cost: for all its fields together, so never summed over fields."""


class EmailStatus(StrEnum):
    VALID = "valid"
    RISKY = "risky"
    """It may bounce, or is nobody's own: a catch-all domain, a role, a guess. A person decides."""
    INVALID = "invalid"
    """It must not be written to."""
    UNKNOWN = "unknown"
    """The provider does not know, or says what we do not understand."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a provider says of one address."""

    email: str
    status: EmailStatus
    word: str
    """The provider's own: ``catch-all@pro``, ``verified``."""
    provider: str
    at: datetime
    do_not_contact: bool = False
    """This person has asked the provider not to be written to by anybody; the address belongs on the suppression list.
    """
    credits: Decimal = NOTHING
    """What it cost when it was asked for by itself; inside an ``Enrichment`` that says what both cost."""


@dataclass(frozen=True, slots=True)
class Enrichment:
    """What one provider knows of one person or company; never empty, because that is a miss."""

    fields: Mapping[str, FieldValue]
    """By the name of the contact's field: ``email``, ``first_name``, ``title``, ... An address that must not be written
    to is not among them."""
    emails: tuple[Verification, ...] = ()
    """Every address the provider gave, the best first."""
    credits: Decimal = NOTHING
    """What this answer cost, in the provider's credits; may be a fraction."""
    reference: str = ""
    """The provider's own name for this person or company."""


def is_address(text: str) -> bool:
    """Whether ``text`` has the shape of an e-mail address: what a provider calls one may be a remark."""
    return bool(_ADDRESS.fullmatch(text))


def best_first(emails: list[Verification]) -> tuple[Verification, ...]:
    """In the order one would use them; of equals the one that was named first."""
    return tuple(sorted(emails, key=lambda email: _BEST_FIRST.index(email.status)))


_BEST_FIRST = (EmailStatus.VALID, EmailStatus.RISKY, EmailStatus.UNKNOWN, EmailStatus.INVALID)
