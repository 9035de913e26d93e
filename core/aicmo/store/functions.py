"""SQL functions of ours, on every connection.

``suppression_key(address)`` is the keyed hash under which an opt-out is remembered: it outlives the contact, and from
it nobody reads the address. ``lot(campaign, address)`` draws for an address, in that campaign: the same at every draw,
and nothing to do with another campaign's. The key lies in the database's ``meta`` table, so a copied database keeps its
opt-outs and its lots.
"""

from __future__ import annotations

import hashlib
import sqlite3


def suppression_key(secret: bytes, address: str) -> bytes:
    """16 bytes that stand for a normalised address (keyed BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(address.encode(), key=secret, digest_size=16).digest()


def suppression_hash(secret: bytes) -> hashlib.blake2b:
    """``suppression_key`` before an address is put into it; a copy for each is twice as fast where they are many."""
    return hashlib.blake2b(key=secret, digest_size=16)


def lot(secret: bytes, campaign_id: int, address: str) -> float:
    """Between 0, inclusive, and 1: evenly spread over the addresses (keyed BLAKE2b, RFC 7693)."""
    drawn = hashlib.blake2b(f"{campaign_id} {address}".encode(), key=secret, digest_size=8, person=b"lot").digest()
    return (int.from_bytes(drawn) >> 11) / (1 << 53)


def add_functions(connection: sqlite3.Connection) -> None:
    kept: bytes | None = None

    def secret() -> bytes:
        nonlocal kept
        if kept is None:
            found: bytes = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()[0]
            kept = found
        return kept

    connection.create_function(
        "suppression_key", 1, lambda address: suppression_key(secret(), address), deterministic=True
    )
    connection.create_function(
        "lot", 2, lambda campaign_id, address: lot(secret(), campaign_id, address), deterministic=True
    )
