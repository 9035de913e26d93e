"""The free last resort of e-mail verification: does the domain take mail at all?

It asks the name servers and nobody else, so it can tell that an address is dead (no such domain, or one that says it
takes no mail) and never that one lives: the best it ever says is *unknown*, "the domain takes mail".

Sources: RFC 5321 5.1 (which host takes a domain's mail, and that one without MX is its own), RFC 7505 (null MX).
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, ClassVar, Literal, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rcode
import dns.resolver
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.leads import EmailStatus, Verification, is_address
from aicmo.text import one_line, shown

REMEMBERED = 2000
"""Answers kept, each for as long as its own TTL allows: a list of people shares few domains."""


def _ip_address(value: str) -> str:
    import ipaddress

    return str(ipaddress.ip_address(value))


class MxSettings(BaseModel):
    """A block ``[providers.NAME]`` of kind ``mx``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["mx"] = "mx"
    nameservers: tuple[Annotated[str, AfterValidator(_ip_address)], ...] = ()
    """Addresses of the name servers to ask; empty: those of this machine."""
    port: int = Field(default=53, ge=1, le=65535)
    """Of ``nameservers``."""
    timeout_seconds: float = Field(default=10, gt=0)
    """For each question, all name servers together."""


class Resolver(Protocol):
    """What is asked: a ``dns.asyncresolver.Resolver``, or a test's."""

    async def resolve(self, qname: dns.name.Name, rdtype: str, *, lifetime: float) -> dns.resolver.Answer: ...


class MxProvider:
    """The name servers, asked for a domain's mail hosts. It holds nothing open; ``close`` does nothing."""

    kind: ClassVar[str] = "mx"
    capabilities: ClassVar[frozenset[str]] = frozenset({"email_verification"})
    check_cost: ClassVar[str] = ""
    Settings: ClassVar[type[MxSettings]] = MxSettings

    def __init__(
        self,
        name: str,
        settings: MxSettings,
        *,
        secret: object = None,
        clock: Clock = SYSTEM_CLOCK,
        resolver: Resolver | None = None,
    ) -> None:
        """There is no secret; ``secret`` is taken because every provider is built alike."""
        self.name = name
        self.settings = settings
        self._clock = clock
        self._resolver = resolver

    def fingerprint(self) -> str:
        """See ``Provider``."""
        return hashlib.blake2b(self.settings.model_dump_json().encode(), digest_size=8).hexdigest()

    async def verify(self, email: str) -> Answer[Verification]:
        """What the domain of ``email`` says. ``INVALID`` is sure; anything else is ``UNKNOWN``."""
        started = self._clock.monotonic()
        try:
            domain = _domain(email)
            status, word, detail = await self._ask(domain)
        except (_NoDomain, dns.exception.DNSException, OSError) as error:
            return Answer(self._failed(error, self._clock.monotonic() - started))
        attempt = Attempt(
            self.name,
            Outcome.OK,
            Applied.NO,
            "dns",
            "NXDOMAIN" if word == "nxdomain" else "NOERROR",
            f"{domain.to_text(omit_final_dot=True)} {detail}",
            latency_s=self._clock.monotonic() - started,
        )
        return Answer(attempt, Verification(email, status, word, self.name, self._clock.now()))

    async def check(self) -> Attempt:
        """Ask for the root's name servers: whether any name server answers us. Free."""
        started = self._clock.monotonic()
        try:
            await self._resolve(dns.name.root, "NS")
        except (dns.exception.DNSException, OSError) as error:
            return self._failed(error, self._clock.monotonic() - started)
        latency_s = self._clock.monotonic() - started
        return Attempt(self.name, Outcome.OK, Applied.NO, "dns", "NOERROR", latency_s=latency_s)

    async def close(self) -> None:
        """See ``Provider``."""

    async def _ask(self, domain: dns.name.Name) -> tuple[EmailStatus, str, str]:
        try:
            hosts: list[dns.name.Name] = [record.exchange for record in await self._resolve(domain, "MX")]
        except dns.resolver.NXDOMAIN:
            return EmailStatus.INVALID, "nxdomain", "does not exist."
        except dns.resolver.NoAnswer:
            hosts = []
        if hosts and all(host == dns.name.root for host in hosts):
            return EmailStatus.INVALID, "null-mx", "says that it takes no mail."
        if hosts:
            return EmailStatus.UNKNOWN, "mx", "takes mail; whether this mailbox is there, only its owner knows."
        for family in ("A", "AAAA"):
            try:
                await self._resolve(domain, family)
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
                continue
            return EmailStatus.UNKNOWN, "implicit-mx", "names no mail host, but may take mail itself."
        return EmailStatus.INVALID, "no-mx", "has no host that could take mail."

    async def _resolve(self, name: dns.name.Name, kind: str) -> Any:
        if self._resolver is None:
            self._resolver = self._new_resolver()
        return await self._resolver.resolve(name, kind, lifetime=self.settings.timeout_seconds)

    def _new_resolver(self) -> Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self.settings.nameservers)
        if self.settings.nameservers:
            resolver.nameservers = list(self.settings.nameservers)
            resolver.port = self.settings.port
        resolver.cache = dns.resolver.LRUCache(REMEMBERED)
        return resolver

    def _failed(self, error: Exception, latency_s: float) -> Attempt:
        outcome, code = Outcome.TRANSIENT, ""
        if isinstance(error, _NoDomain):
            outcome, detail = Outcome.INPUT, str(error)
        elif isinstance(error, dns.resolver.NoResolverConfiguration):
            detail = "This machine names no name server; set nameservers, or mend its network settings."
        elif isinstance(error, dns.resolver.NoNameservers) and (code := _answered_code(error)):
            detail = f"The name server answers {code}: the domain's own servers are in trouble."
        else:
            # Not one answer came back: our own network, or the name server that it uses.
            detail = f"No name server answers ({one_line(type(error).__name__)})."
        return Attempt(self.name, outcome, Applied.NO, "dns", code, detail, latency_s=latency_s)


class _NoDomain(Exception):
    """The address has no domain that could be asked for."""


def _domain(email: str) -> dns.name.Name:
    domain = email.rpartition("@")[2].rstrip(".")
    if is_address(email):
        try:
            return dns.name.from_unicode(domain, idna_codec=dns.name.IDNA_2008_UTS_46)
        except dns.exception.DNSException:
            pass
    raise _NoDomain(f"{shown(email)} is not an address whose domain can be asked for.")


def _answered_code(error: dns.resolver.NoNameservers) -> str:
    """``SERVFAIL``, ``REFUSED`` ...: what a name server did answer; empty when none did."""
    responses = [response for *_, response in error.kwargs.get("errors", ()) if response is not None]
    return dns.rcode.to_text(responses[-1].rcode()) if responses else ""
