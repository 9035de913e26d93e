"""Questions to the name servers, all of one check within one time limit.

A name that does not exist, or has no such record, is an answer: nothing. Whatever else happens (no network, a broken
server, the limit) is a ``DNSException``, ``OSError`` or ``TimeoutError``: nobody knows, which is never told as "no".
"""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Protocol, TypeAlias

import dns.asyncresolver
import dns.name
import dns.resolver

from aicmo.text import one_line

IpAddress: TypeAlias = IPv4Address | IPv6Address

LONGEST_TEXT = 4_000
"""Characters of a TXT record that are read; the longest that anybody needs is a tenth of it."""


class Resolver(Protocol):
    """What is asked: a ``dns.asyncresolver.Resolver``, or a test's."""

    async def resolve(self, qname: dns.name.Name, rdtype: str, *, lifetime: float) -> dns.resolver.Answer: ...


class Names:
    """One check's questions. The same question is put once."""

    def __init__(self, resolver: Resolver | None = None, *, seconds: float) -> None:
        """``seconds`` bounds each question; the caller bounds all of them together."""
        self._resolver = resolver
        self._seconds = seconds
        self._asked: dict[tuple[dns.name.Name, str], asyncio.Task[list[Any]]] = {}

    async def texts(self, name: str) -> list[str]:
        """The TXT records, each in one piece (RFC 7208 3.3)."""
        records = await self._ask(name, "TXT")
        return [one_line(b"".join(each.strings).decode("utf-8", "replace"), limit=LONGEST_TEXT) for each in records]

    async def addresses(self, name: str) -> list[IpAddress]:
        """The IPv4 and IPv6 addresses of a host; of an address, itself."""
        try:
            return [ip_address(name)]
        except ValueError:
            pass
        four, six = await asyncio.gather(self._ask(name, "A"), self._ask(name, "AAAA"))
        return [ip_address(each.address) for each in (*four, *six)]

    async def mail_hosts(self, name: str) -> list[str]:
        """Who takes the domain's mail; ``""`` alone is a null MX (RFC 7505)."""
        return [each.exchange.to_text(omit_final_dot=True).rstrip(".") for each in await self._ask(name, "MX")]

    async def _ask(self, name: str, kind: str) -> list[Any]:
        try:
            asked = dns.name.from_text(name)
        except (dns.exception.DNSException, UnicodeError):
            return []  # what is no name has no records
        question = (asked, kind)
        if question not in self._asked:
            self._asked[question] = asyncio.ensure_future(self._resolve(*question))
        return await self._asked[question]

    async def _resolve(self, name: dns.name.Name, kind: str) -> list[Any]:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()
        try:
            return list(await self._resolver.resolve(name, kind, lifetime=self._seconds))
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []

    async def close(self) -> None:
        """Give up what is still being asked."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
