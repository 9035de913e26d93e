"""What receivers are asked to do with mail that only pretends to come from a domain (DMARC).

RFC 9989 took the place of RFC 7489 in May 2026. What the older one alone knows (``pct``) is read as well, because many
receivers still do. The organisation is told by the list of public suffixes: the newer walk up the tree of names finds
another one only where a registry or a deep subdomain publishes records of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aicmo.crm.domains import registrable
from aicmo.publishing.preflight.domain.names import Names

POLICIES = ("none", "quarantine", "reject")
_MILDER = {"reject": "quarantine", "quarantine": "none", "none": "none"}
_REPORT_TO = re.compile(r"mailto:[^@\s,!]+@[^@\s,!]+(![0-9]+[kmgt]?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The policy that holds for a domain."""

    found_at: str = ""
    """The domain whose record it is: its own, or the organisation's; empty when there is none."""
    policy: str = ""
    """``none``, ``quarantine`` or ``reject``; what holds for the domain itself."""
    percent: int = 100
    tested: bool = False
    """``t=y``: receivers are asked to do less than ``policy`` says."""
    strict_dkim: bool = False
    reports_to: tuple[str, ...] = ()
    records: int = 0
    fault: str = ""
    """Why receivers will take no notice of it."""

    @property
    def asks(self) -> str:
        """What is to be done: ``policy``, or while it is tested the one before it."""
        return _MILDER[self.policy] if self.tested else self.policy


async def read_dmarc(names: Names, domain: str) -> Dmarc:
    """The record of ``domain``, or else of its organisation. Raises what ``Names`` raises."""
    organisation = registrable(domain)
    for where in dict.fromkeys((domain, organisation)):
        records = [each for each in await names.texts(f"_dmarc.{where}") if each.lower().startswith("v=dmarc1")]
        if len(records) > 1:
            return Dmarc(where, records=len(records), fault=f"there are {len(records)} records")
        if records:
            return _parsed(records[0], where, inherited=where != domain)
    return Dmarc()


def _parsed(record: str, where: str, *, inherited: bool) -> Dmarc:
    tags: dict[str, str] = {}
    for part in record.split(";"):
        name, equals, value = (each.strip() for each in part.partition("="))
        if not equals and name:
            return Dmarc(where, records=1, fault=f"“{name}” in it has no value")
        tags.setdefault(name.lower(), value)
    policy = tags.get("p", "").lower()
    if inherited:
        policy = tags.get("sp", policy).lower()
    reports = tuple(each.strip() for each in tags.get("rua", "").split(",") if each.strip())
    if fault := _fault(tags, policy, reports):
        return Dmarc(where, records=1, fault=fault)
    return Dmarc(
        where,
        policy,
        int(tags.get("pct", "100")),
        tags.get("t", "n").lower() == "y",
        tags.get("adkim", "r").lower() == "s",
        reports,
        records=1,
    )


def _fault(tags: dict[str, str], policy: str, reports: tuple[str, ...]) -> str:
    if "p" not in tags:
        return "p= is missing in it"
    for name in ("p", "sp"):
        if name in tags and tags[name].lower() not in POLICIES:
            return f"{name}={tags[name]} in it is none of {', '.join(POLICIES)}"
    percent = tags.get("pct", "100")
    if not (percent.isascii() and percent.isdigit() and int(percent) <= 100):
        return f"pct={percent} in it is no percentage"
    for name in ("adkim", "aspf"):
        if tags.get(name, "r").lower() not in ("r", "s"):
            return f"{name}={tags[name]} in it is neither r nor s"
    wrong = [each for each in reports if each.lower().startswith("mailto:") and not _REPORT_TO.fullmatch(each)]
    if wrong or any(":" not in each for each in reports):
        return f"rua={','.join(reports)} in it is no address; write rua=mailto:…"
    return ""
