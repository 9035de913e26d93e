"""Apollo.io: who a person is, by name and company, LinkedIn page or address; ten at a time, one credit each when found.

Its traps decide this module. The bare ``/v1`` address takes the key and finds nobody. A locked address comes as the
fixed ``email_not_unlocked@domain.com``. Being out of credits is a 422, and a refused key is plain text. A request for
many may be answered in another order, or with holes, so every answer is traced back to who was asked about; one that
cannot be is dropped, because a wrong address is worse than none. Apollo knows no idempotency key: a lost answer may
have been paid for and is never asked for again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from aicmo.clock import parse_rfc3339
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome, Quota
from aicmo.gateways.http import HttpProvider
from aicmo.gateways.http_answer import Document, Effect, Rule, Text
from aicmo.gateways.http_settings import BaseAddress, HttpSettings
from aicmo.gateways.leads import NOTHING, EmailStatus, Enrichment, FieldValue, Lead, Verification, is_address

ONE = Decimal(1)
"""What a person or a company costs (Apollo's price list); nothing when nothing is found."""


def _never_bare_v1(value: str) -> str:
    if re.fullmatch(r"https?://[^/]+/v1", value):
        raise ValueError("must end in /api/v1: under the bare /v1 Apollo answers and finds nobody")
    return value


class ApolloSettings(HttpSettings):
    """A block ``[providers.NAME]`` of kind ``apollo``."""

    kind: Literal["apollo"] = "apollo"
    base_url: Annotated[BaseAddress, AfterValidator(_never_bare_v1)] = "https://api.apollo.io/api/v1"
    reveal_personal_emails: bool = False
    """Also ask for private addresses. May cost more, and is withheld where the GDPR applies."""
    monthly_credits: int | None = Field(default=None, ge=0)
    """The most that may be spent in a calendar month (UTC). Counted over all processes, and not here."""


RULES: tuple[Rule, ...] = (
    Rule(
        "422|402",
        "insufficient credits",
        Outcome.QUOTA,
        "Apollo has no credits left; buy some, or wait for the next cycle.",
    ),
    Rule("402", "", Outcome.QUOTA, "Apollo has no credits left; buy some, or wait for the next cycle."),
    Rule("401", "", Outcome.AUTH, "Apollo does not accept the API key; set the right one."),
    Rule("403", "free plan|upgrade", Outcome.AUTH, "Your Apollo plan does not include this; upgrade it there."),
    Rule(
        "403",
        "",
        Outcome.AUTH,
        "This Apollo key may not do that; tick the endpoint for it in Apollo, or make a master key.",
    ),
    Rule("404", "", Outcome.AUTH, "There is no such address at Apollo; correct base_url."),
    Rule("422", "deprecated", Outcome.AUTH, "Apollo has retired this request; AICMO has to be updated."),
    Rule("422", "does not exist|obsolete data", Outcome.MISS, "Apollo no longer has this person."),
    Rule("400|422", "", Outcome.INPUT, "Apollo cannot do anything with the request."),
    # Its windows open with the first request in them, so nobody knows when one ends; asking again costs nothing.
    Rule("429", "per day", Outcome.RATE_LIMITED, "Apollo's limit for the day is reached.", wait_s=3600),
    Rule("429", "per hour", Outcome.RATE_LIMITED, "Apollo's limit for the hour is reached.", wait_s=600),
    Rule("429", "", Outcome.RATE_LIMITED, "Apollo's limit for the minute is reached.", wait_s=60),
)

ALLOWED_HEADERS = {
    "x-rate-limit-minute": "minute",
    "x-rate-limit-hourly": "hour",
    "x-rate-limit-24-hour": "day",
    "x-rate-limit-daily": "day",  # what Apollo called it before
}
"""Header -> the span it limits (docs.apollo.io/reference/rate-limits). Empty in an answer: there is no such limit."""

STATUSES = {
    "verified": EmailStatus.VALID,
    "likely_to_engage": EmailStatus.RISKY,
    "extrapolated": EmailStatus.RISKY,
    "guessed": EmailStatus.RISKY,
    "bounced": EmailStatus.INVALID,
}
"""``email_status`` -> ours; every other word means that Apollo has not verified it."""


def _decimal(value: object) -> Decimal | None:
    try:
        number = None if isinstance(value, bool) else Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() and number >= 0 else None


def _object(value: object) -> object:
    return value if isinstance(value, dict) else {}


def _object_or_none(value: object) -> object:
    return value if isinstance(value, dict) else None


Number = Annotated[Decimal | None, BeforeValidator(_decimal)]


class _Health(Document):
    is_logged_in: Any = None


class _Pool(Document):
    limit: Number = None
    left_over: Number = None


class _Pools(Document):
    # Where a plan has one pool for everything, this is it; the others are never added.
    lead_credit: _Pool = _Pool()


class _Cycle(Document):
    end_date: Text = ""


class _Balance(Document):
    credit_usage_stats: _Pools
    current_credit_cycle: Annotated[_Cycle, BeforeValidator(_object)] = _Cycle()


class _Organization(Document):
    id: Text = ""
    name: Text = ""
    primary_domain: Text = ""
    linkedin_url: Text = ""
    phone: Text = ""
    industry: Text = ""
    estimated_num_employees: Text = ""
    founded_year: Text = ""
    city: Text = ""
    country: Text = ""
    annual_revenue_printed: Text = ""
    short_description: Text = ""


class _Person(Document):
    id: Text = ""
    first_name: Text = ""
    last_name: Text = ""
    title: Text = ""
    seniority: Text = ""
    email: Text = ""
    email_status: Text = ""
    linkedin_url: Text = ""
    city: Text = ""
    country: Text = ""
    organization: Annotated[_Organization, BeforeValidator(_object)] = _Organization()


_MaybePerson = Annotated[_Person | None, BeforeValidator(_object_or_none)]


class _OneMatch(Document):
    person: _MaybePerson = None


class _Matches(Document):
    matches: list[_MaybePerson]
    credits_consumed: Number = None


class _OneOrganization(Document):
    organization: Annotated[_Organization | None, BeforeValidator(_object_or_none)] = None


class ApolloProvider(HttpProvider[ApolloSettings]):
    """One Apollo workspace, by its key."""

    kind: ClassVar[str] = "apollo"
    capabilities: ClassVar[frozenset[str]] = frozenset({"lead_enrichment"})
    Settings: ClassVar[type[ApolloSettings]] = ApolloSettings
    label: ClassVar[str] = "Apollo"
    rules: ClassVar[tuple[Rule, ...]] = RULES
    batch_size: ClassVar[int] = 10

    @property
    def monthly(self) -> Mapping[str, int]:
        """Unit -> how much of it may be spent in a month; empty: no budget."""
        return {} if self.settings.monthly_credits is None else {"credits": self.settings.monthly_credits}

    @property
    def address(self) -> str:
        return self.settings.base_url

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        return {"x-api-key": key, "cache-control": "no-cache"}

    def allowed(self, headers: Mapping[str, str]) -> dict[str, int]:
        told = {span: headers.get(name, "").strip() for name, span in ALLOWED_HEADERS.items() if name in headers}
        return {span: int(text) for span, text in told.items() if re.fullmatch("[0-9]{1,9}", text)}

    def words(self, document: Any) -> tuple[str, str]:
        message = document.get("error_message") or document.get("error") or document.get("message") or ""
        return str(document.get("error_code") or ""), str(message)

    async def check(self) -> Attempt:
        """Whether the key is good. What it may be used for only using it tells."""
        answer = await self.ask("GET", "/auth/health", _Health)
        if answer.value is not None and answer.value.is_logged_in is not True:
            self.forget_key()
            return replace(
                answer.attempt, outcome=Outcome.AUTH, detail="Apollo does not accept the API key; set the right one."
            )
        return answer.attempt

    async def quota(self) -> Answer[Quota]:
        """The credits left. ``MISS`` when the key may not read them, which says nothing against the key."""
        answer = await self.ask("POST", "/usage_stats/credit_usage_stats", _Balance)
        if answer.value is None:
            attempt = answer.attempt
            if attempt.code.startswith("403"):
                attempt = replace(attempt, outcome=Outcome.MISS)
            return Answer(attempt)
        pool = answer.value.credit_usage_stats.lead_credit
        try:
            resets_at: datetime | None = parse_rfc3339(answer.value.current_credit_cycle.end_date)
        except ValueError:
            resets_at = None
        return Answer(answer.attempt, Quota("credits", _whole(pool.left_over), _whole(pool.limit), resets_at))

    async def enrich(self, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        """What Apollo knows of each of at most ten ``people``, in their order; ``None`` where it knows nothing.

        Who cannot be looked up, having neither address, LinkedIn page nor name with company, is not asked about; when
        that is everybody, the attempt is ``SKIPPED``. What a person cost stands in their ``credits``.
        """
        if not 0 < len(people) <= self.batch_size:
            raise ValueError(f"{len(people)} people; Apollo takes 1 to {self.batch_size} at a time")
        asked = [place for place, lead in enumerate(people) if lead.can_be_found]
        if not asked:
            detail = "Apollo needs an address, a LinkedIn page, or a name with a company."
            return Answer(Attempt(self.name, Outcome.SKIPPED, Applied.NO, "check", detail=detail))
        leads = [people[place] for place in asked]
        found, attempt = await (self._one(leads[0]) if len(leads) == 1 else self._many(leads))
        if attempt.outcome is not Outcome.OK:
            return Answer(attempt)
        results: list[Enrichment | None] = [None] * len(people)
        for place, enrichment in zip(asked, found, strict=True):
            results[place] = enrichment
        return Answer(attempt, tuple(results))

    async def enrich_company(self, lead: Lead) -> Answer[Enrichment]:
        """What Apollo knows of the company of ``lead``, by its domain or else its name. ``MISS`` when nothing."""
        params = {"domain": lead.domain} if lead.domain else {"name": lead.company}
        if not any(params.values()):
            return Answer(Attempt(self.name, Outcome.SKIPPED, Applied.NO, "check", detail="No company is named."))
        answer = await self.ask("GET", "/organizations/enrich", _OneOrganization, effect=Effect.ONCE, params=params)
        if answer.value is None:
            return Answer(answer.attempt)
        organization = answer.value.organization
        fields = self._company_fields(organization, ONE) if organization else {}
        if organization is None or not fields:
            return Answer(_missed(answer.attempt))
        return Answer(answer.attempt, Enrichment(fields, credits=ONE, reference=organization.id))

    async def _one(self, lead: Lead) -> tuple[list[Enrichment | None], Attempt]:
        body = {**_identity(lead), **self._flags()}
        answer = await self.ask("POST", "/people/match", _OneMatch, effect=Effect.ONCE, body=body)
        if answer.value is None:
            return [], answer.attempt
        found = self._enrichment(answer.value.person, ONE)
        return [found], answer.attempt if found else _missed(answer.attempt)

    async def _many(self, leads: Sequence[Lead]) -> tuple[list[Enrichment | None], Attempt]:
        body = {"details": [_identity(lead) for lead in leads], **self._flags()}
        answer = await self.ask("POST", "/people/bulk_match", _Matches, effect=Effect.ONCE, body=body)
        if answer.value is None:
            return [], answer.attempt
        matches, people = answer.value.matches, match_up(leads, answer.value.matches)
        known = [bool(self._enrichment(person, NOTHING)) for person in people]
        charges = _shares(answer.value.credits_consumed, known)
        attempt = answer.attempt if any(known) else _missed(answer.attempt)
        lost = sum(match is not None for match in matches) - sum(person is not None for person in people)
        if lost:  # and yet they were paid for
            detail = f"{lost} of Apollo's answers could not be told to belong to anybody."
            attempt = replace(attempt, applied=Applied.YES, detail=detail)
        return [self._enrichment(person, charge) for person, charge in zip(people, charges, strict=True)], attempt

    def _flags(self) -> dict[str, bool]:
        return {"reveal_personal_emails": True} if self.settings.reveal_personal_emails else {}

    def _enrichment(self, person: _Person | None, cost: Decimal) -> Enrichment | None:
        if person is None:
            return None
        emails: tuple[Verification, ...] = ()
        if is_address(person.email) and not person.email.casefold().startswith("email_not_unlocked@"):
            status = STATUSES.get(re.sub(r"[ -]", "_", person.email_status.casefold()), EmailStatus.UNKNOWN)
            emails = (Verification(person.email, status, person.email_status, self.name, self._clock.now()),)
        usable = emails and emails[0].status is not EmailStatus.INVALID
        fields = self._facts(
            cost,
            email=person.email if usable else "",
            first_name=person.first_name,
            last_name=person.last_name,
            title=person.title,
            seniority=person.seniority,
            linkedin_url=person.linkedin_url,
            city=person.city,
            country=person.country,
        )
        company = self._company_fields(person.organization, cost)
        fields |= {name: value for name, value in company.items() if name in ("company", "company_domain", "industry")}
        return Enrichment(fields, emails, cost, person.id) if fields or emails else None

    def _company_fields(self, organization: _Organization, cost: Decimal) -> dict[str, FieldValue]:
        return self._facts(
            cost,
            company=organization.name,
            company_domain=organization.primary_domain,
            company_linkedin_url=organization.linkedin_url,
            company_phone=organization.phone,
            company_size=organization.estimated_num_employees,
            company_city=organization.city,
            company_country=organization.country,
            industry=organization.industry,
            founded_year=organization.founded_year,
            annual_revenue=organization.annual_revenue_printed,
            company_description=organization.short_description,
        )

    def _facts(self, cost: Decimal, **values: str) -> dict[str, FieldValue]:
        now = self._clock.now()
        return {name: FieldValue(value, self.name, now, cost) for name, value in values.items() if value}


def _missed(attempt: Attempt) -> Attempt:
    return replace(attempt, outcome=Outcome.MISS, applied=Applied.NO)


def match_up(leads: Sequence[Lead], matches: Sequence[_Person | None]) -> list[_Person | None]:
    """Whose answer each of ``matches`` is, in the order of ``leads``.

    By address, LinkedIn page, name with company, or name alone, where only one of ``leads`` fits; what is left, by its
    place, if there are as many answers as questions and nothing speaks against it. The rest is nobody's we can name.
    """
    owners: list[_Person | None] = [None] * len(leads)
    left = {place: match for place, match in enumerate(matches) if match is not None}
    for kind in (_by_address, _by_linkedin, _by_company, _by_name):
        for place, match in list(left.items()):
            marks = set(kind(*_as_seen(match)))
            fitting = [spot for spot, lead in enumerate(leads) if marks & set(kind(lead, ()))]
            if len(fitting) == 1 and owners[fitting[0]] is None:
                owners[fitting[0]] = left.pop(place)
    if len(matches) == len(leads):
        for place, match in left.items():
            if owners[place] is None and not _contradicts(leads[place], match):
                owners[place] = match
    return owners


Companies = tuple[str, ...]


def _as_seen(person: _Person) -> tuple[Lead, Companies]:
    return (
        Lead(person.email, person.first_name, person.last_name, linkedin_url=person.linkedin_url),
        (person.organization.primary_domain, person.organization.name),
    )


def _by_address(lead: Lead, companies: Companies) -> Iterator[str]:
    if lead.email:
        yield lead.email.casefold()


def _by_linkedin(lead: Lead, companies: Companies) -> Iterator[str]:
    if found := re.search(r"/in/([^/?#]+)", lead.linkedin_url):
        yield found[1].casefold()


def _by_company(lead: Lead, companies: Companies) -> Iterator[str]:
    for company in companies or (lead.domain, lead.company):
        if company and lead.last_name:
            yield f"{lead.first_name} {lead.last_name}@{company}".casefold()


def _by_name(lead: Lead, companies: Companies) -> Iterator[str]:
    if lead.first_name and lead.last_name:
        yield f"{lead.first_name} {lead.last_name}".casefold()


def _contradicts(lead: Lead, person: _Person) -> bool:
    """Whether the names are known on both sides and differ."""
    return bool(lead.last_name and person.last_name) and lead.last_name.casefold() != person.last_name.casefold()


def _identity(lead: Lead) -> dict[str, str]:
    known = {
        "email": lead.email,
        "first_name": lead.first_name,
        "last_name": lead.last_name,
        "organization_name": lead.company,
        "domain": lead.domain,
        "linkedin_url": lead.linkedin_url,
    }
    return {name: value for name, value in known.items() if value}


def _shares(spent: Decimal | None, found: Sequence[bool]) -> list[Decimal]:
    """What each person cost: the price each, or what was really ``spent`` in equal parts, to the last fraction."""
    many = sum(found)
    if spent is None or not many:
        return [ONE if each else NOTHING for each in found]
    share = (spent / many).quantize(Decimal("0.0001"))
    shares = [share if each else NOTHING for each in found]
    first = list(found).index(True)
    shares[first] += spent - share * many
    return shares


def _whole(number: Decimal | None) -> int | None:
    return None if number is None else int(number)
