"""Whether receivers will believe that a sender's mail is from its domain: SPF, DKIM, DMARC and MX, by DNS.

Each thing that is wrong says exactly what record to add. What could not be asked is a warning that says so. The names
that RFC 2606 and RFC 6761 keep for examples and tests are never asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field

import dns.exception
import dns.resolver

from aicmo.crm.domains import registrable
from aicmo.publishing.preflight.domain import dkim, dmarc, spf
from aicmo.publishing.preflight.domain.dkim import DkimKey
from aicmo.publishing.preflight.domain.dmarc import Dmarc
from aicmo.publishing.preflight.domain.names import IpAddress, Names, Resolver
from aicmo.publishing.preflight.domain.spf import Policy
from aicmo.publishing.preflight.report import CheckReport, Look, Problem, problem
from aicmo.publishing.preflight.sender import is_made_up

ASKED_FOR_S = 5.0
"""All questions of one check together."""
_INCLUDES = {
    "gmail.com": "_spf.google.com",
    "office365.com": "spf.protection.outlook.com",
    "outlook.com": "spf.protection.outlook.com",
    "fastmail.com": "spf.messagingengine.com",
}
"""Registrable domain of a mail server's name -> what that mailbox service asks its customers to include.

Sources: https://support.google.com/a/answer/33786; Microsoft Learn, "Set up SPF to identify valid email sources for
your Microsoft 365 domain"; Fastmail's help, "Manual DNS configuration".
"""
_BOUNCING_ELSEWHERE = frozenset("amazonaws.com mailgun.org mailjet.com postmarkapp.com sendgrid.net".split())
"""Services that take bounces themselves, at a name of their own or one that their customer gave them. Receivers ask
that one for SPF (RFC 7208 2.4), so what stands at the sender's domain says nothing of such mail.

Sources: https://postmarkapp.com/blog/why-we-no-longer-ask-for-spf-records; Amazon SES, "Using a custom MAIL FROM
domain"; SendGrid, "Automated Security Explained"; Mailjet's blog on DMARC, 2026. Of Mailgun others report it.
"""


@dataclass(frozen=True, slots=True)
class Alignment:
    """What is known of a sender without asking anybody."""

    email: str
    servers: tuple[str, ...] = ()
    """The hosts that mail is handed to."""
    dkim_domain: str = ""
    """With ``dkim_selector``: whose key we sign with ourselves."""
    dkim_selector: str = ""
    dkim_public: bytes = b""
    """The public half of the key we sign with, where that could be read; see ``DkimKey.public``."""

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2].lower().rstrip(".")


@dataclass(slots=True)
class _Found:
    problems: list[Problem] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)

    def good(self, topic: str, says: str) -> None:
        self.looks.append(Look(topic, says))

    def bad(self, code: str, message: str, hint: str) -> None:
        self.problems.append(problem(code, message, hint))


async def check_alignment(
    of: Alignment, *, resolver: Resolver | None = None, seconds: float = ASKED_FOR_S
) -> CheckReport:
    """Ask the name servers, for ``seconds`` at the most. It raises nothing for what they answer, or do not."""
    if is_made_up(of.domain):
        why = f"{of.domain or 'it'} is not a real domain, so nobody was asked"
        return CheckReport(looks=tuple(Look(topic, why, skipped=True) for topic in ("SPF", "DKIM", "DMARC", "MX")))
    names, found = Names(resolver, seconds=seconds), _Found()
    try:
        policy, keys, wanted, mx = await asyncio.gather(
            *(
                _within(seconds, asking)
                for asking in (
                    _spf(names, of),
                    _keys(names, of),
                    dmarc.read_dmarc(names, of.domain),
                    _mail_hosts(names, of.domain),
                )
            )
        )
    finally:
        await names.close()
    answers = {"SPF": policy, "DKIM": keys, "DMARC": wanted, "MX": mx}
    spf_holds = _tell_spf(found, of, *policy) if isinstance(policy, tuple) else None
    dkim_holds = _tell_dkim(found, of, keys) if isinstance(keys, list) else None
    if isinstance(wanted, Dmarc):
        _tell_dmarc(found, of, wanted, spf_holds, dkim_holds)
    if isinstance(mx, _MailHosts):
        _tell_mx(found, of, mx)
    _tell_silence(found, {topic: each for topic, each in answers.items() if isinstance(each, Exception)})
    return CheckReport(problems=tuple(found.problems), looks=tuple(found.looks))


async def _within(seconds: float, asking: Awaitable[object]) -> object:
    """The answer, or why there is none."""
    try:
        async with asyncio.timeout(seconds):
            return await asking
    except (dns.exception.DNSException, TimeoutError, OSError) as error:
        return error


def _tell_silence(found: _Found, silent: dict[str, Exception]) -> None:
    if not silent:
        return
    found.looks += [Look(topic, "could not be asked", skipped=True) for topic in silent]
    if any(isinstance(each, dns.resolver.NoResolverConfiguration) for each in silent.values()):
        why = "this machine names no name server"
    elif any(isinstance(each, TimeoutError | dns.exception.Timeout) for each in silent.values()):
        why = "no name server answered in time"
    else:
        why = "the name servers gave no answer"
    found.bad(
        "dns_not_asked",
        f"{', '.join(silent)} could not be checked: {why}.",
        "Check again when this machine is online; that nothing was found wrong does not mean that it is right.",
    )


# --- SPF --------------------------------------------------------------------------------------------------------------


async def _spf(names: Names, of: Alignment) -> tuple[Policy, dict[str, list[IpAddress]]]:
    asked = [host for host in of.servers if not _bounces_elsewhere(host)]
    hosts = asyncio.gather(*(names.addresses(host) for host in asked))
    policy, addresses = await asyncio.gather(spf.read_policy(names, of.domain), hosts)
    return policy, dict(zip(asked, addresses, strict=True))


def _tell_spf(found: _Found, of: Alignment, policy: Policy, servers: dict[str, list[IpAddress]]) -> bool | None:
    """Whether mail through every server passes; ``None`` where that cannot be told. ``servers`` are those of whose mail
    the domain itself is asked."""
    elsewhere = [host for host in of.servers if host not in servers]
    if policy.records == 0 and elsewhere and not servers:
        found.good("SPF", _asked_elsewhere(elsewhere))
        return None
    wanted = [f"include:{_include(host)}" for host in servers if _include(host)]
    terms = " ".join(dict.fromkeys(wanted)) or "include:… (your provider's manual names it)"
    if policy.records == 0:
        found.bad(
            "spf_missing",
            f"{of.domain} does not say who may send for it (SPF).",
            f"Add a TXT record at {of.domain}: v=spf1 {terms} ~all",
        )
        return False
    if policy.fault:
        hint = (
            "Keep one TXT record that begins with v=spf1, with the terms of all in it."
            if policy.records > 1
            else f"Mend the TXT record at {of.domain} that begins with v=spf1; receivers take no notice of it as it is."
        )
        found.bad("spf_broken", f"The SPF of {of.domain} is broken: {policy.fault}.", hint)
        return False if servers else None
    if policy.open_to_all:
        hint = f"End the TXT record at {of.domain} with ~all instead of +all."
        found.bad("spf_open", f"The SPF of {of.domain} lets everybody send for it (+all).", hint)
    results = {host: _result(policy, host, addresses) for host, addresses in servers.items()}
    for host, result in results.items():
        if result in ("fail", "softfail", "neutral"):
            include = _include(host)
            found.bad(
                "spf_server_not_named",
                f"The SPF of {of.domain} does not name {host} ({result}); it may send from other addresses than it "
                "takes mail at.",
                f"Add include:{include} to the TXT record at {of.domain} that begins with v=spf1."
                if include
                else "Look in your provider's manual for what to include, or send a test to yourself and look for "
                "spf=pass in its Authentication-Results.",
            )
    lookups = "1 look-up" if policy.lookups == 1 else f"{policy.lookups} look-ups"
    aside = f"; {_asked_elsewhere(elsewhere)}" if elsewhere else ""
    found.good("SPF", f"one record, {lookups} of {spf.MOST_LOOKUPS}{aside}")
    said = set(results.values())
    if said & {"fail", "softfail", "neutral"}:
        return False
    return True if said == {"pass"} and not elsewhere else None


def _asked_elsewhere(hosts: list[str]) -> str:
    return f"mail by {' and '.join(hosts)} bounces to the service, whose name is asked; DKIM has to speak for yours"


def _result(policy: Policy, host: str, addresses: list[IpAddress]) -> str:
    if (include := _include(host)) and policy.names(include):
        return "pass"
    if not addresses or any(each.is_private for each in addresses):
        return "unknown"  # mail leaves from another address than the one it is handed to
    results = [spf.judged(policy, each) for each in addresses]
    return next((each for each in ("fail", "softfail", "neutral", "unknown") if each in results), "pass")


def _include(host: str) -> str:
    return _INCLUDES.get(registrable(host.lower()), "")


def _bounces_elsewhere(host: str) -> bool:
    return registrable(host.lower()) in _BOUNCING_ELSEWHERE


# --- DKIM -------------------------------------------------------------------------------------------------------------


async def _keys(names: Names, of: Alignment) -> list[DkimKey]:
    if not of.dkim_selector:
        return await dkim.usual_keys(names, of.domain)
    key = await dkim.read_key(names, of.dkim_selector, of.dkim_domain or of.domain)
    return [] if key is None else [key]


def _tell_dkim(found: _Found, of: Alignment, keys: list[DkimKey]) -> bool | None:
    """Whether a signature can be verified and speaks for the sender; ``None`` where that cannot be told."""
    if not of.dkim_selector:
        usable = [key for key in keys if not key.fault and not key.revoked]
        if not usable:
            found.bad(
                "dkim_not_found",
                f"No DKIM key of {of.domain} was found under the usual names; your provider may use another one.",
                "Send a test to yourself and look for dkim=pass in its Authentication-Results. If it is not there, "
                "switch DKIM on at your provider and add the record that it shows you.",
            )
            return None
        found.good("DKIM", f"found under {', '.join(key.selector for key in usable)}")
        return None
    where = f"{of.dkim_selector}._domainkey.{of.dkim_domain or of.domain}"
    record = dkim.record_of(of.dkim_public) if of.dkim_public else "v=DKIM1; k=rsa; p=… (the public key)"
    aligned = registrable(of.dkim_domain or of.domain) == registrable(of.domain)
    if not aligned:
        found.bad(
            "dkim_unaligned",
            f"Messages are signed for {of.dkim_domain}, which says nothing of {of.domain}.",
            f'Set domain = "{of.domain}" under [dkim], and add the key there.',
        )
    if not keys:
        found.bad(
            "dkim_missing",
            f"There is no DKIM key at {where}, so no receiver can verify the signatures.",
            f"Add a TXT record at {where}: {record}",
        )
        return False
    return _tell_key(found, of, keys[0], record) and aligned


def _tell_key(found: _Found, of: Alignment, key: DkimKey, record: str) -> bool:
    if key.revoked:
        hint = f"Sign with another selector, or let the TXT record at {key.name} be: {record}"
        found.bad("dkim_revoked", f"The DKIM key at {key.name} is revoked (p= is empty).", hint)
    elif key.fault:
        hint = f"Let the TXT record at {key.name} be: {record}"
        found.bad("dkim_broken", f"The DKIM record at {key.name} cannot be used: {key.fault}.", hint)
    elif of.dkim_public and key.public != of.dkim_public:
        found.bad(
            "dkim_other_key",
            f"The DKIM key at {key.name} is not that of the private key we sign with.",
            f"Name the private key that belongs to it under [dkim], or let the TXT record be: {record}",
        )
    elif key.kind == "rsa" and key.bits < dkim.ADVISED_BITS:
        less = "receivers need not take it" if key.bits < dkim.SHORTEST_BITS else "2,048 are advised (RFC 8301)"
        hint = f"Make a new key of {dkim.ADVISED_BITS} bits and publish it under a new selector."
        found.bad("dkim_weak", f"The DKIM key at {key.name} has {key.bits:,} bits; {less}.", hint)
        return key.bits >= dkim.SHORTEST_BITS
    else:
        found.good("DKIM", f"{key.selector}, {f'{key.bits:,} bits' if key.bits else key.kind}")
        return True
    return False


# --- DMARC ------------------------------------------------------------------------------------------------------------


def _tell_dmarc(found: _Found, of: Alignment, wanted: Dmarc, spf_holds: bool | None, dkim_holds: bool | None) -> None:
    where = f"_dmarc.{wanted.found_at or registrable(of.domain)}"
    if wanted.records == 0:
        found.bad(
            "dmarc_missing",
            f"{of.domain} has no DMARC record, which large mailbox providers ask of whoever sends much.",
            f"Add a TXT record at {where}: v=DMARC1; p=none; rua=mailto:{of.email}",
        )
        return
    if wanted.fault:
        hint = f"Leave one TXT record at {where}: v=DMARC1; p=none; rua=mailto:{of.email}"
        found.bad("dmarc_broken", f"The DMARC record at {where} is broken: {wanted.fault}.", hint)
        return
    signed_for = of.dkim_domain or of.domain
    if dkim_holds and wanted.strict_dkim and signed_for != of.domain:
        dkim_holds = False
    if wanted.asks != "none" and spf_holds is False and dkim_holds is not True:
        sure = "will" if dkim_holds is False else "may"
        found.bad(
            "dmarc_refuses",
            f"{of.domain} asks receivers to {wanted.asks} what neither SPF nor DKIM speaks for, and this mail {sure} "
            "be such.",
            "Mend SPF or DKIM first; a test to yourself shows dmarc=pass in its Authentication-Results.",
        )
    share = f", {wanted.percent} %" if wanted.percent != 100 else ""
    share += ", being tested" if wanted.tested else ""
    blind = "" if wanted.reports_to else ", nobody gets reports"
    found.good("DMARC", f"p={wanted.policy}{share}{blind}")


# --- MX ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _MailHosts:
    hosts: list[str]
    has_address: bool


async def _mail_hosts(names: Names, domain: str) -> _MailHosts:
    hosts = await names.mail_hosts(domain)
    return _MailHosts(hosts, bool(hosts or await names.addresses(domain)))


def _tell_mx(found: _Found, of: Alignment, mx: _MailHosts) -> None:
    hint = f"Add an MX record at {of.domain} that names your mail server, or write from a domain that has one."
    if mx.hosts == [""]:
        found.bad("mx_null", f"{of.domain} says that it takes no mail: no reply and no bounce can come back.", hint)
    elif mx.hosts:
        found.good("MX", mx.hosts[0] if len(mx.hosts) == 1 else f"{len(mx.hosts)} hosts")
    elif mx.has_address:
        found.bad("mx_missing", f"{of.domain} names no mail server (MX); replies and bounces may be lost.", hint)
    else:
        text = f"{of.domain} does not exist, or has no mail server: receivers refuse mail from it."
        found.bad("sender_domain_gone", text, hint)
