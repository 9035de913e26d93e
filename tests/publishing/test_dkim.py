"""Our signatures are read by dkimpy, which shares no code with what makes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.config import Config, load_config
from aicmo.errors import AuthNeeded, ConfigInvalid
from aicmo.publishing.email.dkim import SIGNED, Signer
from aicmo.publishing.email.links import LinkRules
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.email.rules import MessageRules, message_rules
from aicmo.store.contents import Draft
from tests.publishing.letters import ADA, DRAFT, NOW, built, pem, read_strictly, signing, verifies

WITH_PAGE = LinkRules(unsubscribe_url="https://example.com/u/{token}")


def signed(kind: str = "rsa", **more: object) -> bytes:
    return built(rules=MessageRules(WITH_PAGE, signing(kind)), first_name="Jane", **more).raw  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_dkimpy_verifies_what_we_sign(kind: str) -> None:
    assert verifies(signed(kind), kind)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Hello", b"Hallo"),
        lambda raw: raw.replace(b"Subject: News", b"Subject: Olds"),
        lambda raw: raw.replace(b"To: Jane <jane@", b"To: Jane <john@"),
        lambda raw: raw.replace(b"/u/1.7.abc", b"/u/1.8.abc"),
        lambda raw: raw.replace(b"One-Click", b"Two-Click"),
        lambda raw: raw.replace(b"Feedback-ID: c12", b"Feedback-ID: c13"),
        lambda raw: raw.replace(b"\r\nList-Id:", b"\r\nSubject: another\r\nList-Id:"),
        lambda raw: b"From: eve@evil.example\r\n" + raw,
        lambda raw: b"To: eve@evil.example\r\n" + raw,
        lambda raw: b"Reply-To: eve@evil.example\r\n" + raw,
        lambda raw: raw.replace(b"d=example.com", b"d=evil.example"),
        lambda raw: raw + b"one line more\r\n",
    ],
)
def test_what_is_changed_or_added_on_the_way_breaks_the_signature(change: Callable[[bytes], bytes]) -> None:
    raw = signed("ed25519")
    assert change(raw) != raw
    try:
        assert not verifies(change(raw), "ed25519")
    except AssertionError as error:  # another domain's key is asked for
        assert "evil.example" in str(error) or b"evil.example" in change(raw)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"Received: by relay.example; Sun, 22 Nov 2026 12:00:00 +0000\r\n" + raw,
        lambda raw: raw.replace(b"Subject: News for Jane", b"subject:  News\r\n  for Jane "),
        lambda raw: raw + b"\r\n\r\n",
        lambda raw: raw.replace(b"Precedence: bulk\r\n", b""),
    ],
)
def test_what_relays_may_do_leaves_the_signature_good(change: Callable[[bytes], bytes]) -> None:
    raw = signed("ed25519")
    assert change(raw) != raw and verifies(change(raw), "ed25519")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.text(max_size=40), subject=st.text(max_size=120), body=st.text(" \t\nab=é陽.", max_size=400))
def test_a_signature_holds_for_any_words(name: str, subject: str, body: str) -> None:
    draft = Draft("{{ s }}x", "{{ b }}x", format="html")
    message = built(draft, rules=MessageRules(signer=signing("ed25519")), first_name=name, s=subject, b=body)
    assert verifies(message.raw, "ed25519")


def test_the_signature_names_what_it_covers_and_stands_first() -> None:
    raw = signed()
    assert raw.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;")
    covered = re.search(rb" h=(.*?);", raw, re.DOTALL)
    assert covered is not None
    names = re.sub(rb"\s", b"", covered[1]).decode().split(":")
    assert names == list(SIGNED)
    for twice in ("From", "To", "Subject"):
        assert names.count(twice) == 2  # a second one on the way breaks it
    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID", "Date", "Message-ID", "List-Id"} <= {*names}
    head = raw.partition(b"\r\n\r\n")[0]
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert f"t={int(NOW.timestamp())};".encode() in head
    assert not read_strictly(built(rules=MessageRules(signer=signing()), first_name="Jane")).defects


def test_a_signature_of_another_organisation_is_refused_and_of_a_subdomain_is_good() -> None:
    for domain in ("example.com", "mail.example.com"):
        assert signing(domain=domain).aligned_with("example.com")
        assert signing(domain="example.com").aligned_with("news.example.com")
    assert not signing(domain="acme.co.uk").aligned_with("other.co.uk")
    with pytest.raises(ConfigInvalid, match=r"signs for evil\.example, but the mail is from example\.com"):
        built(rules=MessageRules(signer=signing(domain="evil.example")), first_name="Jane")
    other = SenderIdentity("Ada", "ada@news.example.com", "1 Way")
    assert verifies(built(DRAFT, other, MessageRules(signer=signing()), first_name="Jane").raw)


@pytest.mark.parametrize("text", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nc4nary\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ConfigInvalid) as raised:
        Signer("example.com", "aicmo", lambda: text).load()
    assert "c4nary" not in raised.value.message and raised.value.__cause__ is None


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(ConfigInvalid, match="neither Ed25519 nor RSA"):
        signing("ec").load()


def test_the_key_is_read_once() -> None:
    asked: list[int] = []

    def key() -> str:
        asked.append(1)
        return pem("ed25519")

    signer = Signer("example.com", "aicmo", key)
    assert not signer.is_loaded
    for _ in range(3):
        built(DRAFT, ADA, MessageRules(signer=signer), first_name="Jane")
    assert len(asked) == 1 and signer.is_loaded


def configured(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_config(file, environ=environ)


def test_the_key_comes_from_a_file_that_is_its_owners_alone(tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    key.write_text(pem("rsa"), encoding="utf-8")
    key.chmod(0o640)
    text = f'[dkim]\ndomain = "Example.com"\nprivate_key_file = "{key}"\n'
    signer = message_rules(configured(tmp_path, text)).signer
    assert signer is not None
    with pytest.raises(ConfigInvalid, match="others can read it") as raised:
        signer.load()
    assert "chmod 600" in raised.value.hint
    key.chmod(0o600)
    assert verifies(built(rules=MessageRules(signer=signer), first_name="Jane").raw)
    key.unlink()
    missing = message_rules(configured(tmp_path, text)).signer
    assert missing is not None
    with pytest.raises(AuthNeeded, match="cannot be read"):
        missing.load()


def test_the_key_comes_from_all_that_a_command_prints(tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    key.write_text(pem("ed25519"), encoding="utf-8")
    text = f'[dkim]\ndomain = "example.com"\nselector = "aicmo"\nprivate_key_cmd = ["cat", "{key}"]\n'
    signer = message_rules(configured(tmp_path, text)).signer
    assert verifies(built(rules=MessageRules(signer=signer), first_name="Jane").raw, "ed25519")


def test_nothing_is_signed_where_no_domain_is_named(tmp_path: Path) -> None:
    assert message_rules(configured(tmp_path, "")).signer is None
    with pytest.raises(ConfigInvalid, match=r"dkim\.domain"):
        configured(tmp_path, '[dkim]\ndomain = "not a domain"\n')
