"""Who may send for a domain (SPF, RFC 7208): the record read with all it includes, then judged for an address.

Reading asks the name servers; judging is pure. A term with a macro, ``ptr`` or ``exists`` depends on the message that
is on its way, so it is counted and never judged: the answer is then *unknown* unless another term settles it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from aicmo.publishing.preflight.domain.names import IpAddress, Names

MOST_LOOKUPS = 10
"""Terms that ask the name servers, those of included records too (RFC 7208 4.6.4)."""
MOST_VOID = 2
"""Of them, how many may find nothing (the same section)."""
_RESULTS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}
_ASKING = ("include", "a", "mx", "ptr", "exists")

IpNetwork: TypeAlias = IPv4Network | IPv6Network


@dataclass(slots=True)
class Term:
    result: str
    """If it matches: ``pass``, ``fail``, ``softfail`` or ``neutral``."""
    kind: str
    value: str = ""
    networks: tuple[IpNetwork, ...] = ()
    inner: Policy | None = None
    """Of an ``include``."""
    unsure: bool = False


@dataclass(slots=True)
class Policy:
    """One record with what it includes."""

    domain: str
    records: int = 0
    """How many SPF records the domain has; one is right."""
    terms: list[Term] = field(default_factory=list)
    redirect: Policy | None = None
    fault: str = ""
    """Why receivers will take the whole of it for an error (``permerror``); empty when they will not."""
    lookups: int = 0
    voids: int = 0

    def names(self, domain: str) -> bool:
        """Whether it, or what it includes, includes ``domain``."""
        inner = [term.inner for term in self.terms if term.inner] + ([self.redirect] if self.redirect else [])
        return any(each.domain == domain or each.names(domain) for each in inner)

    @property
    def open_to_all(self) -> bool:
        """``+all``: everybody may send as the domain."""
        return any(term.kind == "all" and term.result == "pass" for term in self.terms)


async def read_policy(names: Names, domain: str) -> Policy:
    """What ``domain`` says, with the faults a receiver would find. Raises what ``Names`` raises."""
    policy = await _read(names, domain.lower().rstrip("."), ())
    if not policy.fault and policy.lookups > MOST_LOOKUPS:
        policy.fault = f"it takes {policy.lookups} look-ups, and {MOST_LOOKUPS} are allowed"
    if not policy.fault and policy.voids > MOST_VOID:
        policy.fault = f"{policy.voids} of the names in it do not exist, and {MOST_VOID} may"
    return policy


async def _read(names: Names, domain: str, within: tuple[str, ...]) -> Policy:
    policy = Policy(domain)
    if domain in within:
        policy.fault = f"{domain} includes itself"
        return policy
    records = [each for each in await names.texts(domain) if each.lower().split(" ")[0] == "v=spf1"]
    policy.records = len(records)
    if len(records) != 1:
        policy.fault = f"{domain} has {len(records)} SPF records" if records else f"{domain} has no SPF record"
        return policy
    for word in records[0].split()[1:]:
        await _read_term(names, policy, word, (*within, domain))
        if policy.fault or policy.lookups > MOST_LOOKUPS:
            break
    return policy


async def _read_term(names: Names, policy: Policy, word: str, within: tuple[str, ...]) -> None:
    result = _RESULTS.get(word[0], "pass")
    body = word[1:] if word[0] in _RESULTS else word
    name, _, value = body.partition("=")
    if "=" in body and ":" not in name and "/" not in name:
        if name.lower() == "redirect":
            policy.lookups += 1
            policy.redirect = await _inner(names, policy, value, within)
        return  # exp= and modifiers nobody knows change nothing (RFC 7208 6)
    kind, _, value = body.partition(":")
    kind, slash, prefix = kind.lower().partition("/")
    term = Term(result, kind, value)
    policy.terms.append(term)
    if kind in _ASKING:
        policy.lookups += 1
    if kind in ("ip4", "ip6"):
        try:
            term.networks = (ip_network(value, strict=False),)
        except ValueError:
            policy.fault = f"“{word}” in it is no address"
    elif kind in ("exists", "ptr") or "%" in value:
        term.unsure = True
    elif kind == "include":
        term.inner = await _inner(names, policy, value, within)
    elif kind in ("a", "mx"):
        where, more, cut = value.partition("/")
        await _resolve(names, policy, term, where or policy.domain, prefix if slash else cut if more else "")
    elif kind != "all":
        policy.fault = f"“{word}” in it is no term that SPF knows"


async def _inner(names: Names, policy: Policy, value: str, within: tuple[str, ...]) -> Policy | None:
    if "%" in value:
        return None
    inner = await _read(names, value.lower().rstrip("."), within)
    policy.lookups += inner.lookups
    policy.voids += inner.voids + (inner.records == 0)
    policy.fault = policy.fault or inner.fault
    return inner


async def _resolve(names: Names, policy: Policy, term: Term, host: str, cut: str) -> None:
    """The addresses of ``a`` or ``mx``; ``cut`` is ``24``, ``24//64`` or ``/64``."""
    hosts = await names.mail_hosts(host) if term.kind == "mx" else [host]
    found = [each for some in await asyncio.gather(*map(names.addresses, hosts[:10])) for each in some]
    policy.voids += not found
    four, _, six = cut.partition("//") if not cut.startswith("/") else ("", "", cut.strip("/"))
    try:
        term.networks = tuple(
            ip_network(f"{each}/{(four or 32) if each.version == 4 else (six or 128)}", strict=False) for each in found
        )
    except ValueError:
        policy.fault = f"“/{cut}” in it is no length of a prefix"


def judged(policy: Policy, address: IpAddress) -> str:
    """What a receiver would say of mail from ``address``: ``pass``, ``fail``, ``softfail``, ``neutral``, ``none``,
    ``permerror``; or ``unknown`` where it depends on more than the address."""
    if policy.fault:
        return "none" if policy.records == 0 else "permerror"
    unsure = False
    for term in policy.terms:
        inner = judged(term.inner, address) if term.inner else ""
        if inner == "unknown" or term.unsure or (term.kind == "include" and not inner):
            unsure = True
        elif term.kind == "all" or inner == "pass" or any(address in each for each in term.networks):
            return term.result if term.result == "pass" or not unsure else "unknown"
    if policy.redirect is not None:
        result = judged(policy.redirect, address)
        return result if result == "pass" or not unsure else "unknown"
    return "unknown" if unsure else "neutral"
