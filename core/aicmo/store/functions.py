"""SQL functions of ours, on every connection.

``suppression_key(address)`` is the keyed hash under which an opt-out is remembered: it outlives the contact, and from
it nobody reads the address. ``lot(campaign, address)`` draws for an address, in that campaign: the same at every draw,
and nothing to do with another campaign's. The key lies in the database's ``meta`` table, so a copied database keeps its
opt-outs and its lots.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from functools import cache, lru_cache


def suppression_key(secret: bytes, address: str) -> bytes:
    """16 bytes that stand for a normalised address (keyed BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(address.encode(), key=secret, digest_size=16).digest()


def suppression_hash(secret: bytes) -> hashlib.blake2b:
    """``suppression_key`` before an address is put into it; a copy for each is twice as fast where they are many."""
    return hashlib.blake2b(key=secret, digest_size=16)


def lots(secret: bytes, campaign_id: int) -> Callable[[str], float]:
    """What draws for an address: between 0, inclusive, and 1, evenly spread over them (keyed BLAKE2b, RFC 7693)."""
    begun = hashlib.blake2b(f"{campaign_id} ".encode(), key=secret, digest_size=8, person=b"lot")

    def lot(address: str) -> float:
        made = begun.copy()
        made.update(address.encode())
        return (int.from_bytes(made.digest()) >> 11) / (1 << 53)

    return lot


def add_functions(connection: sqlite3.Connection) -> None:
    @cache
    def secret() -> bytes:
        found: bytes = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()[0]
        return found

    @cache
    def keyed() -> hashlib.blake2b:
        return suppression_hash(secret())

    @lru_cache(maxsize=8)
    def lots_of(campaign_id: int) -> Callable[[str], float]:
        return lots(secret(), campaign_id)

    def key(address: str) -> bytes:
        made = keyed().copy()
        made.update(address.encode())
        return made.digest()

    connection.create_function("suppression_key", 1, key, deterministic=True)
    connection.create_function("lot", 2, lambda campaign_id, address: lots_of(campaign_id)(address), deterministic=True)
