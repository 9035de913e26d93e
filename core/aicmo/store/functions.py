"""SQL functions of ours, on every connection.

``suppression_key(address)`` is the keyed hash under which an opt-out is remembered: it outlives the contact, and from
it nobody reads the address. The key lies in the database's ``meta`` table, so a copied database keeps its opt-outs.
"""

from __future__ import annotations

import hashlib
import sqlite3


def suppression_key(secret: bytes, address: str) -> bytes:
    """16 bytes that stand for a normalised address (keyed BLAKE2b, RFC 7693)."""
    return hashlib.blake2b(address.encode(), key=secret, digest_size=16).digest()


def add_functions(connection: sqlite3.Connection) -> None:
    secret: bytes | None = None

    def key_of(address: str) -> bytes:
        nonlocal secret
        if secret is None:
            secret = connection.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()[0]
        return suppression_key(secret, address)

    connection.create_function("suppression_key", 1, key_of, deterministic=True)
