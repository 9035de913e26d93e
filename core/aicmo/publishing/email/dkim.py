"""Sign a finished message, for those who run a relay of their own (RFC 6376; Ed25519: RFC 8463).

Providers sign what they are given, so most people need none of this. What is signed is named once and for all; From, To
and Subject are named twice, so that a second one added on the way breaks the signature instead of passing under it.
Both canonicalisations are relaxed: relays fold headers and strip spaces. Only the canonical form is made here; the
arithmetic is ``cryptography``'s.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING

from aicmo.crm.domains import registrable
from aicmo.errors import AicmoError, ConfigInvalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SIGNED = tuple(
    "From From To To Subject Subject Date Message-ID Reply-To List-Unsubscribe List-Unsubscribe-Post List-Id "
    "Feedback-ID MIME-Version Content-Type".split()
)
"""A name that the message does not have is signed as absent, so it cannot be added either (RFC 6376 5.4.2)."""
LEAST_RSA_BITS = 1024
"""Verifiers refuse shorter keys (RFC 8301 3.2); 2048 is what is asked of signers."""

_SPACES = re.compile(rb"[ \t]{2,}|\t")


class Signer:
    """Signs for one domain. The key is read when it is first needed, or by ``load``."""

    def __init__(self, domain: str, selector: str, read_key: Callable[[], str]) -> None:
        """``read_key`` gives the private key as PEM."""
        self.domain = domain
        self.selector = selector
        self._read_key = read_key
        self._sign: Callable[[bytes], bytes] | None = None
        self._algorithm = ""
        self._loading = Lock()

    @property
    def is_loaded(self) -> bool:
        """Whether the key has been read."""
        return self._sign is not None

    def aligned_with(self, domain: str) -> bool:
        """Whether a signature of ours speaks for ``domain``: both belong to one organisation (DMARC, RFC 9989)."""
        return registrable(self.domain) == registrable(domain)

    def load(self) -> None:
        """Read the key; once is enough. Raises ``AuthNeeded`` without one, ``ConfigInvalid`` for no usable one."""
        with self._loading:  # whoever guards the key asks its owner once
            if self._sign is None:
                self._load()

    def _load(self) -> None:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

        try:
            key = load_pem_private_key(self._read_key().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # What the library says may quote the key, so it is not shown.
            raise _unusable("it is no unencrypted private key in PEM form") from None
        if isinstance(key, Ed25519PrivateKey):
            self._algorithm, self._sign = "ed25519-sha256", _with_ed25519(key)
            self._public = key.public_key().public_bytes_raw()
        elif isinstance(key, RSAPrivateKey) and key.key_size >= LEAST_RSA_BITS:
            self._algorithm, self._sign = "rsa-sha256", _with_rsa(key)
            self._public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            raise _unusable(f"it is neither Ed25519 nor RSA of {LEAST_RSA_BITS} bits or more")

    def public_key(self) -> bytes:
        """What is published of the key (``p=`` in DNS, before base64): DER of an RSA key, 32 bytes of an Ed25519 one.

        Raises what ``load`` raises.
        """
        self.load()
        return self._public

    def sign(self, head: bytes, body: bytes, now: datetime) -> bytes:
        """The header ``DKIM-Signature`` over ``head`` (each header once, CRLF at the end) and ``body``; with its CRLF.

        Raises what ``load`` raises.
        """
        self.load()
        assert self._sign is not None
        body_hash = b64encode(sha256(_relaxed_body(body)).digest()).decode()
        unsigned = (
            f"DKIM-Signature: v=1; a={self._algorithm}; c=relaxed/relaxed;\r\n d={self.domain}; s={self.selector}; "
            f"t={int(now.timestamp())};\r\n h={_NAMES};\r\n bh={body_hash};\r\n b="
        ).encode("ascii")
        lines = _relaxed_headers(head)
        wanted = b"".join(lines.pop(name.lower().encode(), b"") for name in SIGNED)
        (own,) = _relaxed_headers(unsigned).values()
        signature = b64encode(self._sign(wanted + own.removesuffix(b"\r\n"))).decode()
        return unsigned + _folded(signature, 72).encode("ascii") + b"\r\n"


_NAMES = ":\r\n  ".join(":".join(SIGNED[at : at + 5]) for at in range(0, len(SIGNED), 5))


def _relaxed_headers(block: bytes) -> dict[bytes, bytes]:
    """Name -> ``name:value`` with its CRLF, in the relaxed form (RFC 6376 3.4.2)."""
    flat = _SPACES.sub(b" ", block.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" "))
    found = {}
    for line in flat.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name:
            found[name.rstrip().lower()] = b"%s:%s\r\n" % (name.rstrip().lower(), value.strip())
    return found


def _relaxed_body(body: bytes) -> bytes:
    """RFC 6376 3.4.4: runs of spaces are one, none end a line, no empty lines end the body."""
    flat = _SPACES.sub(b" ", body).replace(b" \r\n", b"\r\n").rstrip(b"\r\n ")
    return flat + b"\r\n" if flat else b""


def _folded(text: str, width: int) -> str:
    return "\r\n ".join(text[at : at + width] for at in range(0, len(text), width))


def _with_rsa(key: RSAPrivateKey) -> Callable[[bytes], bytes]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    padding, algorithm = PKCS1v15(), SHA256()
    return lambda data: key.sign(data, padding, algorithm)


def _with_ed25519(key: Ed25519PrivateKey) -> Callable[[bytes], bytes]:
    return lambda data: key.sign(sha256(data).digest())  # of the hash, not of the data (RFC 8463 3)


def _unusable(why: str) -> AicmoError:
    return ConfigInvalid(
        f"The private key of [dkim] cannot be used: {why}.",
        hint="Make one with: openssl genrsa -out dkim.pem 2048 && chmod 600 dkim.pem",
    )
