"""Verification by DNS alone: against a resolver that answers as told, and once over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from pydantic import ValidationError

from aicmo.gateways import Applied, Outcome, load
from aicmo.gateways.leads import EmailStatus
from aicmo.gateways.providers.mx import MxProvider, MxSettings

ZONE: dict[tuple[str, str], list[str] | str] = {
    ("mail.example.", "MX"): ["10 mx1.mail.example.", "20 mx2.mail.example."],
    ("bare.example.", "A"): ["192.0.2.7"],
    ("six.example.", "AAAA"): ["2001:db8::7"],
    ("silent.example.", "MX"): ["0 ."],
    ("web.example.", "TXT"): ["nothing"],
    ("broken.example.", "MX"): "SERVFAIL",
    ("closed.example.", "MX"): "REFUSED",
    ("half.example.", "A"): "SERVFAIL",
    ("half.example.", "TXT"): ["its MX has no answer, its A fails"],
    ("xn--bcher-kva.example.", "MX"): ["10 mx.mail.example."],
    (".", "NS"): ["a.root."],
}


def answer_to(query: dns.message.Message) -> dns.message.Message:
    """What a name server that knows ``ZONE`` says."""
    (question,) = query.question
    name, kind = question.name.to_text(), dns.rdatatype.to_text(question.rdtype)
    response = dns.message.make_response(query)
    response.flags |= dns.flags.RA
    found = ZONE.get((name, kind), [])
    if isinstance(found, str):
        response.set_rcode(dns.rcode.from_text(found))
    elif found:
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *found))
    elif not any(known == name for known, _ in ZONE):
        response.set_rcode(dns.rcode.NXDOMAIN)
    return response


class NameServer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.asked: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query.question[0].to_text())
        if "slow" not in self.asked[-1]:
            self.transport.sendto(answer_to(query).to_wire(), address)


async def verified(*emails: str, **settings: Any) -> list[Any]:
    """The answers of a provider that asks a real name server on loopback."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    provider = MxProvider("mx", MxSettings(nameservers=("127.0.0.1",), port=port, **settings))
    try:
        return [await provider.verify(email) for email in emails]
    finally:
        await provider.close()
        transport.close()


@pytest.mark.parametrize(
    ("email", "status", "word"),
    [
        ("ada@mail.example", EmailStatus.UNKNOWN, "mx"),
        ("ada@MAIL.example", EmailStatus.UNKNOWN, "mx"),
        ("ada@bücher.example", EmailStatus.UNKNOWN, "mx"),
        ("ada@bare.example", EmailStatus.UNKNOWN, "implicit-mx"),
        ("ada@six.example", EmailStatus.UNKNOWN, "implicit-mx"),
        ("ada@silent.example", EmailStatus.INVALID, "null-mx"),
        ("ada@web.example", EmailStatus.INVALID, "no-mx"),
        ("ada@gone.example", EmailStatus.INVALID, "nxdomain"),
    ],
)
async def test_what_the_domain_says_of_an_address(email: str, status: EmailStatus, word: str) -> None:
    (answer,) = await verified(email)
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.OK, Applied.NO)
    assert (answer.value.status, answer.value.word, answer.value.provider) == (status, word, "mx")
    assert answer.value.email == email


async def test_it_never_says_that_a_mailbox_is_there() -> None:
    answers = await verified(*(f"ada@{name.rstrip('.')}" for name, _ in ZONE if name != "."))
    assert {answer.value.status for answer in answers if answer.value} <= {EmailStatus.UNKNOWN, EmailStatus.INVALID}


@pytest.mark.parametrize(
    ("email", "code"),
    [("ada@broken.example", "SERVFAIL"), ("ada@closed.example", "REFUSED"), ("ada@half.example", "SERVFAIL")],
)
async def test_a_name_server_in_trouble_condemns_nobody(email: str, code: str) -> None:
    (answer,) = await verified(email, timeout_seconds=5)
    assert (answer.attempt.outcome, answer.attempt.code, answer.value) == (Outcome.TRANSIENT, code, None)


async def test_no_answer_at_all_is_the_fault_of_the_way_there() -> None:
    (answer,) = await verified("ada@slow.example", timeout_seconds=0.2)
    assert (answer.attempt.outcome, answer.attempt.phase, answer.attempt.code) == (Outcome.TRANSIENT, "dns", "")


@pytest.mark.parametrize("email", ["", "ada", "@mail.example", "ada@" + "x" * 70 + ".example", "ada@a..example"])
async def test_what_is_no_address_is_not_asked_about(email: str) -> None:
    class Nobody:
        async def resolve(self, *args: object, **more: object) -> Any:
            raise AssertionError("asked")

    answer = await MxProvider("mx", MxSettings(), resolver=Nobody()).verify(email)
    assert (answer.attempt.outcome, answer.value) == (Outcome.INPUT, None)


async def test_people_of_one_company_cost_one_question() -> None:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    provider = MxProvider("mx", MxSettings(nameservers=("127.0.0.1",), port=port))
    for person in ("ada", "bob", "zoe"):
        await provider.verify(f"{person}@mail.example")
        await provider.verify(f"{person}@gone.example")
    transport.close()
    assert server.asked == ["mail.example. IN MX", "gone.example. IN MX"]


async def test_a_machine_without_name_servers_is_told_as_that() -> None:
    class Unset:
        async def resolve(self, *args: object, **more: object) -> Any:
            raise dns.resolver.NoResolverConfiguration

    answer = await MxProvider("mx", MxSettings(), resolver=Unset()).verify("ada@mail.example")
    assert (answer.attempt.outcome, answer.attempt.phase, answer.attempt.code) == (Outcome.TRANSIENT, "dns", "")
    assert "set nameservers" in answer.attempt.detail


async def test_the_check_asks_for_the_root_and_costs_nothing() -> None:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(NameServer, ("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    provider = MxProvider("mx", MxSettings(nameservers=("127.0.0.1",), port=port))
    attempt = await provider.check()
    transport.close()
    assert (attempt.outcome, attempt.code, server.asked) == (Outcome.OK, "NOERROR", [". IN NS"])
    assert MxProvider.check_cost == ""


def test_the_fingerprint_changes_with_the_name_servers() -> None:
    prints = {MxProvider("mx", MxSettings(nameservers=servers)).fingerprint() for servers in ((), ("192.0.2.1",))}
    assert len(prints) == 2


def test_a_name_server_is_named_by_its_address() -> None:
    with pytest.raises(ValidationError):
        MxSettings(nameservers=("dns.example",))


def test_it_is_in_the_table() -> None:
    assert load("mx") is MxProvider
