"""The public key that a domain's signatures are verified with (DKIM, RFC 6376 3.6.1, RFC 8463)."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from dataclasses import dataclass

from aicmo.publishing.preflight.domain.names import Names

USUAL_SELECTORS = tuple("google selector1 selector2 default k1 k2 k3 s1 s2 mail dkim fm1 smtp pm mailjet zoho".split())
"""What large providers and manuals call it. Many give a name of their own, so that none is found proves nothing."""
SHORTEST_BITS = 1024
"""Receivers need not take a shorter RSA key (RFC 8301 3.2)."""
ADVISED_BITS = 2048
"""The same section."""
_ED25519_BYTES = 32


@dataclass(frozen=True, slots=True)
class DkimKey:
    selector: str
    domain: str
    kind: str = "rsa"
    bits: int = 0
    """Of an RSA key."""
    public: bytes = b""
    """The key itself: DER of an RSA key (SubjectPublicKeyInfo), the 32 bytes of an Ed25519 one."""
    revoked: bool = False
    fault: str = ""
    """Why no signature can be verified with it."""

    @property
    def name(self) -> str:
        """Where its record stands."""
        return f"{self.selector}._domainkey.{self.domain}"


async def read_key(names: Names, selector: str, domain: str) -> DkimKey | None:
    """``None`` when there is no record. Raises what ``Names`` raises."""
    records = await names.texts(f"{selector}._domainkey.{domain}")
    keys = [each for each in records if "p=" in each.replace(" ", "").lower()] or records
    if not keys:
        return None
    if len(keys) > 1:
        return DkimKey(selector, domain, fault=f"there are {len(keys)} records under the name")
    return _parsed(keys[0], selector, domain)


async def usual_keys(names: Names, domain: str) -> list[DkimKey]:
    """The keys that stand under the usual names."""
    found = await asyncio.gather(*(read_key(names, selector, domain) for selector in USUAL_SELECTORS))
    return [each for each in found if each is not None]


def _parsed(record: str, selector: str, domain: str) -> DkimKey:
    parts = (part.partition("=") for part in record.split(";") if part.strip())
    tags = {name.strip().lower(): "".join(value.split()) for name, _, value in parts}
    kind = tags.get("k", "rsa").lower()
    if tags.get("v", "DKIM1") != "DKIM1":
        return DkimKey(selector, domain, kind, fault=f"v={tags['v']} in it is not DKIM1")
    if "p" not in tags:
        return DkimKey(selector, domain, kind, fault="p= is missing in it")
    if not tags["p"]:
        return DkimKey(selector, domain, kind, revoked=True)
    try:
        public = b64decode(tags["p"], validate=True)
        bits, public = _rsa(public) if kind == "rsa" else (0, public)
    except ValueError:
        return DkimKey(selector, domain, kind, fault="the key in it cannot be read; was it cut at 255 characters?")
    fault = ""
    if kind not in ("rsa", "ed25519"):
        fault = f"k={kind} in it is no kind of key that receivers know"
    elif kind == "ed25519" and len(public) != _ED25519_BYTES:
        fault = f"its Ed25519 key is not {_ED25519_BYTES} bytes long"
    return DkimKey(selector, domain, kind, bits, public, fault=fault)


def _rsa(public: bytes) -> tuple[int, bytes]:
    """Its length in bits, and the key in the one form that two of them are compared in. Raises ``ValueError``."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    try:
        key = load_der_public_key(public)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("not an RSA key")
    return key.key_size, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def record_of(public: bytes) -> str:
    """What to publish of a key, in the form of ``DkimKey.public``."""
    kind = "ed25519" if len(public) == _ED25519_BYTES else "rsa"
    return f"v=DKIM1; k={kind}; p={b64encode(public).decode()}"
