from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm.address import Address, NotAnAddress, normalise
from aicmo.crm.domains import registrable


@pytest.mark.parametrize(
    ("text", "address", "domain"),
    [
        ("ada@example.com", "ada@example.com", "example.com"),
        ("Ada@Example.COM", "ada@example.com", "example.com"),
        ("ada+news@mail.acme.co.uk", "ada+news@mail.acme.co.uk", "acme.co.uk"),
        ("a.d.a@mail.acme.example", "a.d.a@mail.acme.example", "acme.example"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com", "example.com"),
        ('"Lovelace, Ada" < ada@example.com >', "ada@example.com", "example.com"),
        ("mailto:ada@example.com", "ada@example.com", "example.com"),
        (" ada@example.com\u200b", "ada@example.com", "example.com"),
        ("info@MÜLLER.example", "info@xn--mller-kva.example", "xn--mller-kva.example"),
        ("info@xn--mller-kva.example", "info@xn--mller-kva.example", "xn--mller-kva.example"),
        ("JÖRG@example.com", "jörg@example.com", "example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com", "example.com"),
        ("o'neil@example.com", "o'neil@example.com", "example.com"),
    ],
)
def test_one_person_has_one_address(text: str, address: str, domain: str) -> None:
    found = normalise(text)
    assert (found.address, found.domain) == (address, domain)


def test_the_address_is_kept_as_its_owner_writes_it() -> None:
    assert normalise("Ada <Ada.L@Example.com>").email == "Ada.L@Example.com"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no address"),
        ("ada", "no @"),
        ("a@b.example, c@d.example", "two addresses in one cell"),
        ("a@b.example;c@d.example", "two addresses in one cell"),
        ("a@b@c.example", "more than one @"),
        ("ada lovelace@example.com", "a space in it"),
        ("x" * 65 + "@example.com", "more than 64 characters before the @"),
        ("x@" + "y." * 130 + "com", "longer than 254 characters"),
        ("ada@localhost", ""),
        ("ada@acme", "the domain is not a full one, such as example.com"),
        ("ada@1.2.3.4", ""),
        ("a..da@example.com", ""),
        (".ada@example.com", ""),
        ("ada@-acme.example", ""),
        ("ada@acme_x.example", ""),
        ('"a da"@example.com', "a space in it"),
        ("ada@example.com\r\nBcc: x@evil.example", "two addresses in one cell"),
    ],
)
def test_what_is_no_address_says_why(text: str, reason: str) -> None:
    with pytest.raises(NotAnAddress) as refusal:
        normalise(text)
    assert refusal.value.reason
    assert reason in refusal.value.reason


@given(st.text(max_size=80) | st.emails())
def test_any_text_is_an_address_or_a_refusal_and_normalising_again_changes_nothing(text: str) -> None:
    try:
        found = normalise(text)
    except NotAnAddress:
        return
    assert found.address == found.address.lower()
    assert normalise(found.address) == Address(found.address, found.address, found.domain)
    assert not set(found.email) & set("\r\n\0 ")


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("mail.bbc.co.uk", "bbc.co.uk"),
        ("acme.com", "acme.com"),
        ("a.b.acme.example", "acme.example"),
        ("co.uk", "co.uk"),
        ("shop.ck", "shop.ck"),  # every name under .ck is a suffix
        ("www.ck", "www.ck"),  # but this one
        ("a.www.ck", "www.ck"),
        ("acme.example", "acme.example"),
        ("localhost", "localhost"),
        ("shop.acme.com.br", "acme.com.br"),
    ],
)
def test_a_company_is_its_registrable_domain(domain: str, name: str) -> None:
    assert registrable(domain) == name
