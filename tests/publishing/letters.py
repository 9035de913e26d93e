"""Messages built for tests, and a reader that forgives nothing."""

from __future__ import annotations

import email
import email.policy
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from functools import cache

from aicmo.publishing.email.dkim import Signer
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import BuiltMessage, MessageBuilder, Recipient, SenderIdentity
from aicmo.publishing.email.rules import MessageRules
from aicmo.store.contents import Draft

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ADA = SenderIdentity("Ada Lovelace", "ada@example.com", "1 Analytical Way, London")
DRAFT = Draft(
    "News for {{ first_name }}",
    "Hello **{{ first_name }}**,\n\nsee [the tour](https://news.example/?a=1&b=2).\n",
    "Short",
)
PAGE = MessageRules(LinkRules(unsubscribe_url="https://example.com/u/{token}"))

_MESSAGE_ID = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+>")
"""RFC 5322 3.6.4, without its obsolete and quoted forms."""


def built(
    draft: Draft = DRAFT,
    sender: SenderIdentity = ADA,
    rules: MessageRules | None = None,
    *,
    to: str = "jane@acme.example",
    campaign_name: str = "Autumn news",
    campaign_id: int = 12,
    variant: str = "",
    token: str = "1.7.abc",
    **values: str,
) -> BuiltMessage:
    builder = MessageBuilder(
        draft, sender, campaign_name, rules=rules or MessageRules(), campaign_id=campaign_id, variant=variant
    )
    return builder.build(Recipient(to, {"email": to, **values}, token), NOW)


def parsed(message: BuiltMessage) -> EmailMessage:
    read = email.message_from_bytes(message.raw, policy=email.policy.default)
    assert isinstance(read, EmailMessage)
    return read


def as_sent(words: str) -> str:
    """With the line ends, and without the half characters, that encoding knows nothing of."""
    return words.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()


def read_strictly(message: BuiltMessage) -> EmailMessage:
    """The message, parsed; it is what the RFCs ask of every line, header and part, with no defect anywhere."""
    raw = message.raw
    assert raw.isascii() and b"\0" not in raw
    assert raw.count(b"\r\n") == raw.count(b"\r") == raw.count(b"\n")  # RFC 5322 2.3: CR and LF only together
    head, _, body = raw.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998  # RFC 5322 2.1.1
    assert not any(line.strip() == b"" for line in head.split(b"\r\n"))
    assert max(map(len, body.split(b"\r\n"))) <= 76  # RFC 2045 6.7

    read = parsed(message)
    for part in read.walk():
        assert not part.defects
        for header in part.values():
            assert not header.defects
    assert len({name.lower() for name in read}) == len(read)
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    boundary = read.get_boundary()
    assert boundary and raw.count(b"--" + boundary.encode()) == 3
    for part, words in zip(read.iter_parts(), (message.words.text, message.words.html), strict=True):
        assert part["Content-Transfer-Encoding"] == "quoted-printable"
        assert part.get_content().replace("\r\n", "\n") == as_sent(words)
        assert not part.defects  # decoding found none either
    assert parsedate_to_datetime(read["Date"]) == NOW
    assert _MESSAGE_ID.fullmatch(read["Message-ID"]) and read["Message-ID"] == message.message_id
    assert [each.addr_spec for each in read["From"].addresses] == [message.mail_from]
    assert [each.addr_spec for each in read["To"].addresses] == [message.recipient]
    return read


@cache
def pem(kind: str) -> str:
    """A private key, made once: RSA of 2048 bits takes a moment."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    key = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
    }[kind]()
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def signing(kind: str = "rsa", domain: str = "example.com") -> Signer:
    return Signer(domain, "aicmo", lambda: pem(kind))


def public_record(kind: str = "rsa") -> bytes:
    """What stands in DNS for that key."""
    from base64 import b64encode

    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pem(kind).encode(), password=None).public_key()
    if kind == "ed25519":
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return b"v=DKIM1; k=ed25519; p=" + b64encode(raw)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return b"v=DKIM1; k=rsa; p=" + b64encode(der)


def verifies(raw: bytes, kind: str = "rsa", *, domain: str = "example.com") -> bool:
    """What dkimpy, which knows nothing of our signer, says of the signature."""
    import dkim

    def records(name: bytes, timeout: int = 5) -> bytes:
        assert name == f"aicmo._domainkey.{domain}.".encode()
        return public_record(kind)

    return bool(dkim.verify(raw, dnsfunc=records))
