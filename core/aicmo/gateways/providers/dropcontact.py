"""Dropcontact: addresses found and verified, in batches that are handed in, waited for and fetched.

Handing in takes the credits, so a batch whose answer is lost is ambiguous and never handed in again; from the moment
it has a number the attempt says ``Applied.YES`` and carries the number as its ``reference``, and ``collect`` goes on
from there, in this run or a later one (results are kept for 30 days). A status of 200 proves nothing here: "not ready",
an unknown number and trouble of their own look alike, which is why every wait has an end. Being out of credits is a
403, and only the whole batch is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, Field

from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome, Quota
from aicmo.gateways.http import HttpProvider
from aicmo.gateways.http_answer import Document, Effect, Rule, Text
from aicmo.gateways.http_settings import BaseAddress, HttpSettings
from aicmo.gateways.leads import (
    NOTHING,
    EmailStatus,
    Enrichment,
    FieldValue,
    Lead,
    Verification,
    best_first,
    is_address,
)

ONE = Decimal(1)
"""What an address costs, found or verified; given back only when none was given and none found."""


class DropcontactSettings(HttpSettings):
    """A block ``[providers.NAME]`` of kind ``dropcontact``."""

    kind: Literal["dropcontact"] = "dropcontact"
    base_url: BaseAddress = "https://api.dropcontact.com/v1"
    poll_seconds: float = Field(default=30, ge=1, le=3600)
    """Between two looks whether a batch is ready; Dropcontact asks for 30."""
    deadline_seconds: float = Field(default=600, gt=0, le=86_400)
    """How long a batch is waited for; then its number is kept and a later run fetches it."""
    monthly_credits: int | None = Field(default=None, ge=0)
    """The most that may be spent in a calendar month (UTC). Counted over all processes, and not here."""


RULES: tuple[Rule, ...] = (
    Rule("200", "^not_ready", Outcome.TRANSIENT, "Dropcontact is still at work on the batch."),
    Rule("200|403", "credit|quota", Outcome.QUOTA, "Dropcontact has too few credits for the whole batch; buy some."),
    Rule("200", "^refused", Outcome.TRANSIENT, "Dropcontact refuses the batch."),
    Rule("401", "", Outcome.AUTH, "Dropcontact does not accept the API key; set the right one."),
    Rule("403", "authentication token", Outcome.AUTH, "Nobody is at this address of Dropcontact; correct base_url."),
    Rule("403", "key|token|permission|account", Outcome.AUTH, "Dropcontact does not allow this to the API key."),
    Rule("403", "", Outcome.QUOTA, "Dropcontact has too few credits for the whole batch; buy some."),
    Rule("404", "", Outcome.AUTH, "There is no such address at Dropcontact; correct base_url."),
    Rule("400|422", "", Outcome.INPUT, "Dropcontact cannot do anything with the batch."),
    Rule("429", "", Outcome.RATE_LIMITED, "Dropcontact asks for a pause.", wait_s=30),
)

NOT_READY = "not_ready"
REFUSED = "refused"

_SPELLINGS = {
    "nominatif": "nominative",
    "non_confirm": "catch_all",
    "generique": "generic",
    "role": "generic",
    "ne_pas_contacter": "do_not_contact",
    "non_valide": "non_validated",
    "invalide": "invalid",
    "jetable": "disposable",
    "invalid_domain": "invalid",
    "domaine_invalide": "invalid",
}
_NEVER_LOCAL = ("invalid", "random", "do_not_contact")
_NEVER_DOMAIN = ("invalid", "disposable")
_KNOWN_LOCAL = ("nominative", "catch_all", "generic", "non_validated")


def qualify(word: str) -> tuple[EmailStatus, bool]:
    """What a qualification such as ``catch-all@pro`` means, and whether its owner has asked not to be written to.

    Only a person's own address at a company is valid. Spelling and language have changed over the years; what is not
    known is unknown.
    """
    bare = "".join(
        letter for letter in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(letter)
    )
    local, _, domain = re.sub(r"[\s-]+", "_", bare.strip()).rpartition("@")
    local, domain = _SPELLINGS.get(local, local), _SPELLINGS.get(domain, domain)
    if local in _NEVER_LOCAL or domain in _NEVER_DOMAIN:
        return EmailStatus.INVALID, local == "do_not_contact"
    if (local, domain) == ("nominative", "pro"):
        return EmailStatus.VALID, False
    return (EmailStatus.RISKY if local in _KNOWN_LOCAL else EmailStatus.UNKNOWN), False


def _object(value: object) -> object:
    return value if isinstance(value, dict) else {}


def _list_of_objects(value: object) -> object:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _phone(value: object) -> object:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return value[0].get("number")
    return value


class _Credits(Document):
    credits: int


class _Submitted(Document):
    request_id: Text = Field(min_length=1)


class _Email(Document):
    email: Text = ""
    qualification: Text = ""


class _Ours(Document):
    aicmo_id: Text = ""


class _Record(Document):
    first_name: Text = ""
    last_name: Text = ""
    email: Annotated[list[_Email], BeforeValidator(_list_of_objects)] = []
    job: Text = ""
    job_level: Text = ""
    linkedin: Text = ""
    company: Text = ""
    website: Text = ""
    company_linkedin: Text = ""
    nb_employees: Text = ""
    employee_count: Text = ""
    industry: Text = ""
    country: Text = ""
    phone: Annotated[Text, BeforeValidator(_phone)] = ""
    mobile_phone: Annotated[Text, BeforeValidator(_phone)] = ""
    custom_fields: Annotated[_Ours, BeforeValidator(_object)] = _Ours()


class _Done(Document):
    data: list[_Record]


class DropcontactProvider(HttpProvider[DropcontactSettings]):
    """One Dropcontact account, by its key."""

    kind: ClassVar[str] = "dropcontact"
    capabilities: ClassVar[frozenset[str]] = frozenset({"lead_enrichment", "email_verification"})
    Settings: ClassVar[type[DropcontactSettings]] = DropcontactSettings
    label: ClassVar[str] = "Dropcontact"
    rules: ClassVar[tuple[Rule, ...]] = RULES
    batch_size: ClassVar[int] = 250

    @property
    def monthly(self) -> Mapping[str, int]:
        """Unit -> how much of it may be spent in a month; empty: no budget."""
        return {} if self.settings.monthly_credits is None else {"credits": self.settings.monthly_credits}

    @property
    def address(self) -> str:
        return self.settings.base_url

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        return {"x-access-token": key}

    def words(self, document: Any) -> tuple[str, str]:
        if document.get("error") is True:
            return REFUSED, str(document.get("reason") or "")
        if document.get("success") is False and not isinstance(document.get("data"), list):
            return NOT_READY, str(document.get("reason") or "")
        detail = document.get("detail") or document.get("reason") or document.get("message") or ""
        if isinstance(detail, list):
            detail = "; ".join(f"{'.'.join(map(str, fault.get('loc', ())))}: {fault.get('msg')}" for fault in detail)
        return "", str(detail)

    async def check(self) -> Attempt:
        """Whether the key is good and there are credits left."""
        answer = await self.ask("GET", "/account/credits", _Credits)
        if answer.value is not None and answer.value.credits <= 0:
            return replace(answer.attempt, outcome=Outcome.QUOTA, detail="Dropcontact has no credits left; buy some.")
        return answer.attempt

    async def quota(self) -> Answer[Quota]:
        """The credits left."""
        answer = await self.ask("GET", "/account/credits", _Credits)
        if answer.value is None:
            return Answer(answer.attempt)
        return Answer(answer.attempt, Quota("credits", answer.value.credits, None, None))

    async def enrich(self, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        """What Dropcontact knows of each of at most 250 ``people``, in their order; ``None`` where it knows nothing.

        Waits up to ``deadline_seconds``. A batch that is not ready by then is ``TRANSIENT`` and ``Applied.YES``; its
        number is the attempt's ``reference``, for ``collect``. Whoever must not lose a batch when the program is
        killed calls ``submit``, keeps the number, and then ``collect``. Who cannot be looked up is not handed in; when
        that is everybody, the attempt is ``SKIPPED``.
        """
        submitted = await self.submit(people)
        if submitted.value is None:
            return Answer(submitted.attempt)
        return await self.collect(submitted.value, people)

    async def submit(self, people: Sequence[Lead]) -> Answer[str]:
        """Hand in a batch; its number. This takes the credits."""
        if not 0 < len(people) <= self.batch_size:
            raise ValueError(f"{len(people)} people; Dropcontact takes 1 to {self.batch_size} at a time")
        records = [
            {**_identity(lead), "custom_fields": {"aicmo_id": str(place)}}
            for place, lead in enumerate(people)
            if lead.can_be_found
        ]
        if not records:
            detail = "Dropcontact needs an address, a LinkedIn page, or a name with a company."
            return Answer(Attempt(self.name, Outcome.SKIPPED, Applied.NO, "check", detail=detail))
        # Without a language the qualifications come in French.
        body = {"data": records, "siren": False, "language": "en"}
        answer = await self.ask("POST", "/enrich/all", _Submitted, effect=Effect.ONCE, body=body)
        if answer.value is None:
            return Answer(answer.attempt)
        number = answer.value.request_id
        return Answer(replace(answer.attempt, reference=number), number)

    async def collect(self, request_id: str, people: Sequence[Lead]) -> Answer[tuple[Enrichment | None, ...]]:
        """The results of a batch that was handed in, for the same ``people`` in the same order; see ``enrich``."""
        records, attempt = await self._wait_for(request_id)
        if attempt.outcome is not Outcome.OK:
            return Answer(attempt)
        by_place = {record.custom_fields.aicmo_id: record for record in records}
        found = tuple(self._enrichment(by_place.get(str(place)), lead) for place, lead in enumerate(people))
        if not any(found):
            return Answer(replace(attempt, outcome=Outcome.MISS, applied=Applied.NO))
        return Answer(attempt, found)

    async def verify(self, email: str) -> Answer[Verification]:
        """What Dropcontact says of one address. Costs a credit whatever it says. ``MISS`` when it says nothing."""
        submitted = await self.submit([Lead(email)])
        if submitted.value is None:
            return Answer(submitted.attempt)
        records, attempt = await self._wait_for(submitted.value)
        if attempt.outcome is not Outcome.OK:
            return Answer(attempt)
        for verdict in (verdict for record in records for verdict in self._verdicts(record)):
            if verdict.email.casefold() == email.casefold():
                return Answer(attempt, replace(verdict, credits=ONE))
        return Answer(replace(attempt, outcome=Outcome.MISS, applied=Applied.NO))

    async def _wait_for(self, request_id: str) -> tuple[list[_Record], Attempt]:
        """Look every ``poll_seconds`` until the batch is ready, the wait is over, or looking is of no use.

        The credits are spent whatever comes, so every attempt says so and carries the number.
        """
        started = self._clock.monotonic()
        deadline = started + self.settings.deadline_seconds
        pause_s = min(self.settings.poll_seconds, self.settings.deadline_seconds)
        while True:
            await self._clock.sleep(pause_s)
            answer = await self.ask("GET", f"/enrich/all/{quote(request_id, safe='')}", _Done)
            now_s = self._clock.monotonic()
            attempt = replace(answer.attempt, applied=Applied.YES, reference=request_id, latency_s=now_s - started)
            if answer.value is not None:
                return answer.value.data, attempt
            if attempt.outcome not in (Outcome.TRANSIENT, Outcome.RATE_LIMITED) or attempt.code == f"200 {REFUSED}":
                return [], attempt
            told_s = (attempt.retry_at - self._clock.now()).total_seconds() if attempt.retry_at else 0.0
            pause_s = max(self.settings.poll_seconds, told_s)
            if now_s + pause_s > deadline:
                return [], attempt

    def _enrichment(self, record: _Record | None, lead: Lead) -> Enrichment | None:
        if record is None:
            return None
        emails = best_first(self._verdicts(record))
        cost = ONE if emails or lead.email else NOTHING
        now = self._clock.now()
        usable = emails and emails[0].status is not EmailStatus.INVALID
        facts = {
            "email": emails[0].email if usable else "",
            "first_name": record.first_name,
            "last_name": record.last_name,
            "title": record.job,
            "seniority": record.job_level,
            "phone": record.mobile_phone or record.phone,
            "linkedin_url": record.linkedin,
            "company": record.company,
            "company_domain": record.website.removeprefix("www."),
            "company_linkedin_url": record.company_linkedin,
            "company_size": record.nb_employees or record.employee_count,
            "industry": record.industry,
            "country": record.country,
        }
        # A record comes back with what was sent in it; only what was added to that is a find.
        sent = {lead.first_name, lead.last_name, lead.company, lead.domain, lead.linkedin_url, ""}
        known = {value.casefold() for value in sent}
        fields = {
            name: FieldValue(value, self.name, now, cost)
            for name, value in facts.items()
            if value.casefold() not in known
        }
        return Enrichment(fields, emails, cost) if fields or emails else None

    def _verdicts(self, record: _Record) -> list[Verification]:
        now = self._clock.now()
        verdicts = []
        for entry in record.email:
            if is_address(entry.email):
                status, do_not_contact = qualify(entry.qualification)
                verdicts.append(Verification(entry.email, status, entry.qualification, self.name, now, do_not_contact))
        return verdicts


def _identity(lead: Lead) -> dict[str, str]:
    known = {
        "first_name": lead.first_name,
        "last_name": lead.last_name,
        "email": lead.email,
        "linkedin": lead.linkedin_url,
        "company": lead.company,
        "website": lead.domain,
    }
    return {name: value for name, value in known.items() if value}
