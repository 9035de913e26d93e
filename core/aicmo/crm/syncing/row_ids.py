"""What a row of ours is called in somebody else's CRM: the value of its merge column, by which it is found again.

``5be1c0d2-c1042-9b1f03ea`` is contact 1042 of the database ``5be1c0d2``; the last part, a keyed hash of the number and
of the moment that the person came, tells them from somebody else who got the same number later. It says nothing about
the person, and stays the same whatever becomes of their name and address.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import NamedTuple

from aicmo.store.meta import Identity

_ID = re.compile(r"([0-9a-f]{8})-c([0-9]{1,18})-([0-9a-f]{8})")


class Named(NamedTuple):
    contact_id: int
    check: str


class RowIds:
    """The names that one database gives."""

    def __init__(self, identity: Identity) -> None:
        self._secret = identity.secret
        self._prefix = hashlib.blake2b(identity.instance, digest_size=4).hexdigest()

    def of_contact(self, contact_id: int, created_at: str) -> str:
        return f"{self._prefix}-c{contact_id}-{self._check(contact_id, created_at)}"

    def of_event(self, event_id: int) -> str:
        return f"{self._prefix}-e{event_id}"

    def of_delivery(self, delivery_id: int) -> str:
        return f"{self._prefix}-d{delivery_id}"

    def read(self, text: str) -> Named | None:
        """Whom ``text`` names; ``None`` when this database did not name anybody so."""
        found = _ID.fullmatch(text.strip())
        if found is None or found[1] != self._prefix:
            return None
        return Named(int(found[2]), found[3])

    def fits(self, named: Named, created_at: str) -> bool:
        """Whether the contact with that number, who came then, is the one who was meant."""
        return hmac.compare_digest(named.check, self._check(named.contact_id, created_at))

    def _check(self, contact_id: int, created_at: str) -> str:
        told = f"contact {contact_id} {created_at}".encode()
        return hashlib.blake2b(told, key=self._secret, digest_size=4).hexdigest()
