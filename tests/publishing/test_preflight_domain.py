"""SPF, DKIM, DMARC and MX against name servers that answer as told. The network is never asked."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from ipaddress import ip_address

import dns.exception
import dns.resolver
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aicmo.publishing import CheckReport
from aicmo.publishing.email.message import SenderIdentity
from aicmo.publishing.preflight import Preflight, Setting
from aicmo.publishing.preflight.domain.alignment import Alignment, check_alignment
from aicmo.publishing.preflight.domain.dmarc import read_dmarc
from aicmo.publishing.preflight.domain.names import Names
from aicmo.publishing.preflight.domain.spf import judged, read_policy

from .preflight_cases import FakeResolver, Zone, codes, status


def public(bits: int) -> bytes:
    return (
        rsa.generate_private_key(65537, bits).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )


KEY, WEAK = public(2048), public(1024)


def txt(text: str) -> list[str]:
    """One record, in the pieces of at most 255 characters that DNS has."""
    return [" ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))]


def dkim(key: bytes) -> list[str]:
    return txt(f"v=DKIM1; k=rsa; p={b64encode(key).decode()}")


GOOD: Zone = {
    ("acme.dev", "TXT"): ['"v=spf1 ip4:198.51.100.0/24 include:_spf.relay.dev ~all"', '"google-site-verification=x"'],
    ("_spf.relay.dev", "TXT"): ['"v=spf1 a:mail.relay.dev -all"'],
    ("mail.relay.dev", "A"): ["8.8.4.4"],
    ("smtp-relay.gmail.com", "A"): ["9.9.9.9"],
    ("smtp.sendgrid.net", "A"): ["9.9.9.9"],
    ("_dmarc.acme.dev", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:d@acme.dev"'],
    ("me._domainkey.acme.dev", "TXT"): dkim(KEY),
    ("acme.dev", "MX"): ["10 mx.acme.dev."],
}
OURS = Alignment("ada@acme.dev", ("mail.relay.dev",), "acme.dev", "me", KEY)
UNTOLD = replace(OURS, dkim_domain="", dkim_selector="", dkim_public=b"")
"""Nobody said where its key stands."""


def without(*gone: tuple[str, str]) -> Zone:
    return {key: records for key, records in GOOD.items() if key not in gone}


def spf(record: str) -> Zone:
    return {**GOOD, ("acme.dev", "TXT"): [f'"{record}"']}


def dmarc(record: str) -> Zone:
    return {**GOOD, ("_dmarc.acme.dev", "TXT"): [f'"{record}"']}


SPF, DKIM, DMARC, MX = (
    ("acme.dev", "TXT"),
    ("me._domainkey.acme.dev", "TXT"),
    ("_dmarc.acme.dev", "TXT"),
    ("acme.dev", "MX"),
)
MANY: Zone = {
    **spf("v=spf1 " + " ".join(f"include:n{n}.dev" for n in range(11)) + " -all"),
    **{(f"n{n}.dev", "TXT"): ['"v=spf1 -all"'] for n in range(11)},
}
WORKSPACE = replace(OURS, servers=("smtp-relay.gmail.com",))
SENDGRID = replace(OURS, servers=("smtp.sendgrid.net",))
OTHER = replace(OURS, dkim_domain="other.dev")
REPORTS = "Add a TXT record at _dmarc.acme.dev: v=DMARC1; p=none; rua=mailto:ada@acme.dev"

DOMAINS: list[tuple[str, Zone, Alignment, str]] = [
    ("spf_missing", without(SPF), OURS, "Add a TXT record at acme.dev: v=spf1 include:"),
    ("spf_broken", {**GOOD, SPF: ['"v=spf1 -all"', '"v=spf1 ~all"']}, OURS, "Keep one"),
    ("spf_broken", spf("v=spf1 ip4:1.2.3 -all"), OURS, "Mend"),
    ("spf_broken", spf("v=spf1 inlude:x.dev -all"), OURS, "Mend"),
    ("spf_broken", spf("v=spf1 include:nothing.dev -all"), OURS, "Mend"),
    ("spf_broken", spf("v=spf1 include:acme.dev -all"), OURS, "Mend"),
    ("spf_broken", MANY, OURS, "Mend"),
    ("spf_broken", spf("v=spf1 a:a.dev a:b.dev a:c.dev ip4:8.8.4.4 -all"), OURS, "Mend"),
    ("spf_open", spf("v=spf1 +all"), OURS, "~all"),
    ("spf_server_not_named", spf("v=spf1 ip4:198.51.100.1 ~all"), OURS, "manual"),
    ("spf_server_not_named", spf("v=spf1 ?all"), WORKSPACE, "include:_spf.google.com"),
    ("spf_broken", spf("v=spf1 inlude:x.dev -all"), SENDGRID, "Mend"),
    ("dkim_missing", without(DKIM), OURS, f"p={b64encode(KEY).decode()}"),
    ("dkim_broken", {**GOOD, DKIM: ['"v=DKIM1; k=rsa; p=MIIBIjANBg"']}, OURS, "me._domainkey.acme.dev"),
    ("dkim_broken", {**GOOD, DKIM: ['"v=DKIM2; p=x"']}, OURS, "me._domainkey.acme.dev"),
    ("dkim_broken", {**GOOD, DKIM: ['"v=DKIM1; k=rsa"']}, OURS, "me._domainkey.acme.dev"),
    ("dkim_broken", {**GOOD, DKIM: ['"v=DKIM1; k=elgamal; p=AAAA"']}, OURS, "me._domainkey.acme.dev"),
    ("dkim_revoked", {**GOOD, DKIM: ['"v=DKIM1; p="']}, OURS, "me._domainkey.acme.dev"),
    ("dkim_weak", {**GOOD, DKIM: dkim(WEAK)}, replace(OURS, dkim_public=b""), "2048"),
    ("dkim_other_key", {**GOOD, DKIM: dkim(public(2048))}, OURS, "private key"),
    ("dkim_unaligned", {**GOOD, ("me._domainkey.other.dev", "TXT"): dkim(KEY)}, OTHER, "acme.dev"),
    ("dkim_not_found", GOOD, UNTOLD, "dkim=pass"),
    ("dmarc_missing", without(DMARC), OURS, REPORTS),
    ("dmarc_broken", {**GOOD, DMARC: ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"']}, OURS, "_dmarc.acme.dev"),
    ("dmarc_broken", dmarc("v=DMARC1; rua=mailto:x@y.dev"), OURS, "p=none"),
    ("dmarc_broken", dmarc("v=DMARC1; p=refuse"), OURS, "p=none"),
    ("dmarc_broken", dmarc("v=DMARC1; p=none; pct=many"), OURS, "p=none"),
    ("dmarc_broken", dmarc("v=DMARC1; p=none; adkim=x"), OURS, "p=none"),
    ("dmarc_broken", dmarc("v=DMARC1; p=none; rua=x@y.dev"), OURS, "p=none"),
    ("dmarc_refuses", {**without(DKIM), SPF: ['"v=spf1 -all"']}, OURS, "dmarc=pass"),
    ("mx_missing", {**without(MX), ("acme.dev", "A"): ["8.8.8.8"]}, OURS, "acme.dev"),
    ("mx_null", {**GOOD, MX: ["0 ."]}, OURS, "acme.dev"),
    ("sender_domain_gone", without(MX), OURS, "MX"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "zone", "sender", "hint"), DOMAINS, ids=[f"{row[0]}-{n}" for n, row in enumerate(DOMAINS)]
)
async def test_what_is_wrong_with_a_domain_is_said_with_the_record_to_add(
    code: str, zone: Zone, sender: Alignment, hint: str
) -> None:
    report = await check_alignment(sender, resolver=FakeResolver(zone))
    (found,) = [each for each in report.problems if each.code == code]
    assert hint in found.hint and found.severity == "warning"
    follows = {"dmarc_refuses"} | ({"spf_server_not_named", "dkim_missing"} if code == "dmarc_refuses" else set())
    assert codes(report) <= {code} | follows


async def test_a_domain_that_is_right_says_what_was_found() -> None:
    report = await check_alignment(OURS, resolver=FakeResolver(GOOD))
    assert report.problems == ()
    says = {each.topic: each.says for each in report.topics}
    assert says == {
        "SPF": "one record, 2 look-ups of 10",
        "DKIM": "me, 2,048 bits",
        "DMARC": "p=reject",
        "MX": "mx.acme.dev",
    }


async def test_a_key_under_a_usual_name_is_found_without_being_told() -> None:
    zone = {**GOOD, ("selector1._domainkey.acme.dev", "TXT"): dkim(KEY)}
    report = await check_alignment(UNTOLD, resolver=FakeResolver(zone))
    assert status(report, "DKIM") == "ok" and "dkim_not_found" not in codes(report)


async def test_an_ed25519_key_is_as_good() -> None:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    zone = {**GOOD, DKIM: txt(f"v=DKIM1; k=ed25519; p={b64encode(raw).decode()}")}
    sender = Alignment("ada@acme.dev", ("mail.relay.dev",), "acme.dev", "me", raw)
    assert (await check_alignment(sender, resolver=FakeResolver(zone))).problems == ()


@pytest.mark.parametrize("email", ["ada@acme.example", "ada@example.com", "ada@mail.test", "ada@localhost"])
async def test_a_made_up_domain_is_asked_about_nowhere_and_says_so(email: str) -> None:
    resolver = FakeResolver(GOOD)
    report = await check_alignment(Alignment(email), resolver=resolver)
    assert resolver.asked == [] and report.problems == ()
    assert {each.status for each in report.topics} == {"skipped"}
    assert all("not a real domain" in each.says for each in report.topics)


SILENCE = [
    (dns.resolver.NoNameservers(), "gave no answer"),
    (dns.exception.Timeout(), "in time"),
    (dns.resolver.NoResolverConfiguration(), "names no name server"),
    (OSError("unreachable"), "gave no answer"),
    (..., "in time"),
]


@pytest.mark.parametrize(("trouble", "why"), SILENCE)
async def test_what_could_not_be_asked_is_a_warning_and_never_silence(trouble: object, why: str) -> None:
    report = await check_alignment(OURS, resolver=FakeResolver(GOOD, broken={"*": trouble}), seconds=0.05)
    (found,) = report.problems
    assert found.code == "dns_not_asked" and report.ok
    assert why in found.message and "SPF, DKIM, DMARC, MX" in found.message
    assert {each.topic for each in report.topics if each.status == "skipped"} == {"SPF", "DKIM", "DMARC", "MX"}


async def test_one_silent_name_leaves_the_other_answers_standing() -> None:
    report = await check_alignment(
        OURS, resolver=FakeResolver(GOOD, broken={"_dmarc.acme.dev": dns.exception.Timeout()})
    )
    assert codes(report) == {"dns_not_asked"}
    assert (status(report, "SPF"), status(report, "DMARC")) == ("ok", "skipped")


JUDGED = [
    ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.2.9", "pass"),
    ("v=spf1 ip4:192.0.2.0/24 -all", "192.0.3.9", "fail"),
    ("v=spf1 ip6:2001:db8::/32 ~all", "2001:db8::1", "pass"),
    ("v=spf1 ip6:2001:db8::/32 ~all", "192.0.2.1", "softfail"),
    ("v=spf1 a -all", "192.0.2.80", "pass"),
    ("v=spf1 a/24 -all", "192.0.2.81", "pass"),
    ("v=spf1 a:web.dev/24//64 -all", "2001:db8:1::99", "pass"),
    ("v=spf1 mx -all", "192.0.2.25", "pass"),
    ("v=spf1 mx:other.dev -all", "192.0.2.25", "fail"),
    ("v=spf1 include:inner.dev ~all", "198.51.100.1", "pass"),
    ("v=spf1 include:inner.dev ~all", "198.51.100.2", "softfail"),
    ("v=spf1 redirect=inner.dev", "198.51.100.2", "fail"),
    ("v=spf1 redirect=inner.dev", "198.51.100.1", "pass"),
    ("v=spf1 ?all", "192.0.2.1", "neutral"),
    ("v=spf1", "192.0.2.1", "neutral"),
    ("v=spf1 exists:%{i}.x.dev -all", "192.0.2.1", "unknown"),
    ("v=spf1 exists:%{i}.x.dev ip4:192.0.2.1 -all", "192.0.2.1", "pass"),
    ("v=spf1 include:%{d}.x.dev -all", "192.0.2.1", "unknown"),
    ("v=spf1 ptr -all", "192.0.2.1", "unknown"),
    ("v=spf1 exp=why.dev unknown=x -all", "192.0.2.1", "fail"),
    ("v=spf1 bogus -all", "192.0.2.1", "permerror"),
    ("V=SPF1 IP4:192.0.2.1 -ALL", "192.0.2.1", "pass"),
    ("something else", "192.0.2.1", "none"),
]
SPF_ZONE: Zone = {
    ("web.dev", "AAAA"): ["2001:db8:1::1"],
    ("us.dev", "A"): ["192.0.2.80"],
    ("us.dev", "MX"): ["10 mx.us.dev."],
    ("mx.us.dev", "A"): ["192.0.2.25"],
    ("inner.dev", "TXT"): ['"v=spf1 ip4:198.51.100.1 -all"'],
    ("other.dev", "MX"): ["10 mx.other.dev."],
    ("mx.other.dev", "A"): ["203.0.113.1"],
}


@pytest.mark.parametrize(("record", "address", "result"), JUDGED)
async def test_spf_is_judged_as_rfc_7208_says(record: str, address: str, result: str) -> None:
    names = Names(FakeResolver({**SPF_ZONE, ("us.dev", "TXT"): [f'"{record}"']}), seconds=1)
    policy = await read_policy(names, "us.dev")
    assert judged(policy, ip_address(address)) == result


async def test_lookups_are_counted_through_all_that_is_included() -> None:
    zone = {
        **SPF_ZONE,
        ("us.dev", "TXT"): ['"v=spf1 a mx include:one.dev -all"'],
        ("one.dev", "TXT"): ['"v=spf1 a:us.dev exists:y ptr redirect=inner.dev"'],
    }
    policy = await read_policy(Names(FakeResolver(zone), seconds=1), "us.dev")
    assert (policy.lookups, policy.fault) == (7, "")


async def test_a_subdomain_without_a_record_has_its_organisations_policy_for_subdomains() -> None:
    zone = {("_dmarc.acme.co.uk", "TXT"): ['"v=DMARC1; p=reject; sp=quarantine; pct=50; adkim=s"']}
    found = await read_dmarc(Names(FakeResolver(zone), seconds=1), "news.acme.co.uk")
    assert (found.found_at, found.policy, found.percent, found.strict_dkim) == ("acme.co.uk", "quarantine", 50, True)


@pytest.mark.parametrize(
    ("record", "asked", "says"),
    [
        ("v=DMARC1; p=reject", "reject", "p=reject, nobody gets reports"),
        ("v=DMARC1; p=reject; t=y", "quarantine", "p=reject, being tested, nobody gets reports"),
        ("v=DMARC1; p=quarantine; t=Y", "", "p=quarantine, being tested, nobody gets reports"),
        ("v=DMARC1; p=quarantine; t=n; np=reject; psd=n", "quarantine", "p=quarantine, nobody gets reports"),
    ],
)
async def test_a_policy_that_is_only_tested_asks_for_less(record: str, asked: str, says: str) -> None:
    """RFC 9989, with the tags that it added."""
    zone = {key: found for key, found in dmarc(record).items() if key != DKIM} | {SPF: ['"v=spf1 -all"']}
    report = await check_alignment(OURS, resolver=FakeResolver(zone))
    refused = [each.message for each in report.problems if each.code == "dmarc_refuses"]
    assert bool(refused) is bool(asked) and all(f"to {asked} what" in each for each in refused)
    good = await check_alignment(OURS, resolver=FakeResolver(dmarc(record)))
    assert says in [each.says for each in good.topics if each.topic == "DMARC"]


async def test_a_relay_inside_this_network_is_not_judged_by_its_address() -> None:
    zone = {**GOOD, ("mail.relay.dev", "A"): ["10.0.0.5"], SPF: ['"v=spf1 ip4:8.8.8.8 -all"']}
    assert "spf_server_not_named" not in codes(await check_alignment(OURS, resolver=FakeResolver(zone)))


INCLUDED = [
    ("smtp.gmail.com", "_spf.google.com"),
    ("smtp-relay.gmail.com", "_spf.google.com"),
    ("smtp.office365.com", "spf.protection.outlook.com"),
    ("acme-dev.mail.protection.outlook.com", "spf.protection.outlook.com"),
    ("smtp.fastmail.com", "spf.messagingengine.com"),
]


@pytest.mark.parametrize(("host", "include"), INCLUDED)
async def test_a_mailbox_service_is_named_by_its_include_alone(host: str, include: str) -> None:
    sender = replace(OURS, servers=(host,))
    without_it = await check_alignment(sender, resolver=FakeResolver({**spf("v=spf1 -all"), (host, "A"): ["9.9.9.9"]}))
    (found,) = without_it.problems
    assert found.code == "spf_server_not_named" and f"Add include:{include} to" in found.hint
    named = {**spf(f"v=spf1 include:{include} -all"), (host, "A"): ["9.9.9.9"], (include, "TXT"): ['"v=spf1 -all"']}
    assert (await check_alignment(sender, resolver=FakeResolver(named))).problems == ()


ELSEWHERE = [
    "email-smtp.eu-west-1.amazonaws.com",
    "smtp.eu.mailgun.org",
    "in-v3.mailjet.com",
    "smtp.postmarkapp.com",
    "smtp.sendgrid.net",
]


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_a_service_that_takes_bounces_itself_is_not_looked_for_in_the_senders_spf(host: str) -> None:
    for zone in (without(SPF), spf("v=spf1 -all")):
        resolver = FakeResolver({**zone, (host, "A"): ["9.9.9.9"]})
        report = await check_alignment(replace(OURS, servers=(host,)), resolver=resolver)
        (says,) = [each.says for each in report.topics if each.topic == "SPF"]
        assert report.problems == () and f"mail by {host} bounces to the service" in says
        assert f"{host}. A" not in resolver.asked
    beside = replace(OURS, servers=(host, "mail.relay.dev"))
    assert codes(await check_alignment(beside, resolver=FakeResolver(without(SPF)))) == {"spf_missing"}


class HandClock:
    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> object:
        raise AssertionError("what is remembered is not measured by the wall")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits")


def preflight(resolver: FakeResolver, clock: HandClock) -> Preflight:
    setting = Setting(SenderIdentity("Ada", "ada@acme.dev", "1 Way"), {"main": "mail.relay.dev"})
    return Preflight(setting, clock=clock, resolver=resolver)  # type: ignore[arg-type]


async def asked_after(seconds: float, resolver: FakeResolver) -> tuple[int, int, CheckReport]:
    """How many questions the first check put, and another one so much later."""
    clock = HandClock()
    check = preflight(resolver, clock)
    await check.domain()
    first = len(resolver.asked)
    clock.at += seconds
    report = await check.domain()
    return first, len(resolver.asked) - first, report


async def test_the_answers_are_remembered_for_ten_minutes() -> None:
    first, again, _ = await asked_after(599, FakeResolver(GOOD))
    assert first and again == 0
    first, again, _ = await asked_after(601, FakeResolver(GOOD))
    assert first == again


async def test_silence_is_remembered_for_a_minute_only() -> None:
    silent = FakeResolver(GOOD, broken={"*": OSError("down")})
    assert (await asked_after(59, silent))[1] == 0
    assert (await asked_after(61, silent))[1] > 0


async def test_no_question_is_left_behind() -> None:
    before = asyncio.all_tasks()
    await check_alignment(OURS, resolver=FakeResolver(GOOD, broken={"*": ...}), seconds=0.05)
    assert asyncio.all_tasks() == before
