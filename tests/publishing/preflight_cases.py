"""What is told of any check, and name servers that answer as told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
import dns.rrset

from aicmo.publishing import CheckReport

Zone = Mapping[tuple[str, str], list[str]]
"""(name, kind) -> records, as a zone file writes them."""


def codes(report: CheckReport) -> set[str]:
    return {problem.code for problem in report.problems}


def status(report: CheckReport, topic: str) -> str:
    return next(each.status for each in report.topics if each.topic == topic)


class FakeResolver:
    """Answers from a zone. ``broken``: names that make it raise that error; ``...`` never answers."""

    def __init__(self, zone: Zone, *, broken: Mapping[str, Any] | None = None) -> None:
        self.zone = {(f"{name}.", kind): records for (name, kind), records in zone.items()}
        self.broken = broken or {}
        self.asked: list[str] = []

    async def resolve(self, qname: dns.name.Name, rdtype: str, *, lifetime: float) -> Any:
        name = qname.to_text()
        self.asked.append(f"{name} {rdtype}")
        trouble = self.broken.get(name.rstrip("."), self.broken.get("*"))
        if trouble is ...:
            await asyncio.Event().wait()
        if trouble is not None:
            raise trouble
        query = dns.message.make_query(qname, rdtype)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if records := self.zone.get((name, rdtype)):
            answer.answer.append(dns.rrset.from_text(qname, 60, "IN", rdtype, *records))
        elif not any(known == name for known, _ in self.zone):
            raise dns.resolver.NXDOMAIN(qnames=[qname], responses={qname: answer})
        said = dns.message.from_wire(answer.to_wire())
        return dns.resolver.Answer(qname, dns.rdatatype.from_text(rdtype), dns.rdataclass.IN, said)
