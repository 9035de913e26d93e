"""Dropcontact as its documentation, and those who were surprised by it, describe it.

Its traps are the point: 200 means nothing until ``error`` and ``success`` were read, "not ready" is also the answer
about a job that never was, credits that do not cover a whole batch are a 403, they are taken when a batch is handed in
and given back for what was not found, and labels are French unless English was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.sandbox import KEYS
from aicmo.sandbox.known import Directory, Known, what_is_known
from aicmo.sandbox.providers import Provider, Refusal, Window, json_object, note

NOT_READY = "Request not ready yet, try again in 30 seconds"
_BATCH = 250
_RECORD_BYTES = 15_000
_INPUT = frozenset(
    "first_name last_name full_name civility email linkedin job job_function job_level mobile_phone phone location "
    "country company website company_linkedin num_siren siret siret_address siret_zip siret_city custom_fields".split()
)
# One of these is what a record must have to be worked on.
_IDENTIFIERS = ("company", "website", "company_linkedin", "num_siren", "siret", "email", "linkedin")
_FRENCH = {"nominative@pro": "nominatif@pro", "generic@pro": "generique@pro", "invalid@pro": "invalide@pro"}


@dataclass(frozen=True, slots=True)
class Account:
    """An account at Dropcontact."""

    credits: int = 1500
    ready_after_s: float = 0.3
    """From handing a batch in to its result; the real one takes about half a minute."""
    requests_per_second: int = 60
    results: str = "sent"
    """Their order, which is not documented: as ``sent``, or ``reversed``."""


@dataclass(slots=True)
class _Job:
    records: list[dict[str, Any]]
    english: bool
    due_at: float
    refund: int
    """Credits to give back when it is due."""
    results: list[dict[str, Any]] = field(default_factory=list)


class Dropcontact(Provider):
    path = "/v1"

    def __init__(self, seed: int, clock: Clock) -> None:
        self.account = Account()
        self._clock = clock
        people = [known for known in what_is_known(seed) if known.dropcontact_email]
        self._addresses = frozenset(known.person.email for known in what_is_known(seed))
        self._directory = Directory(people, lambda known: known.dropcontact_email)
        self._jobs: dict[str, _Job] = {}
        self._second = Window(1.0, clock)

    def routes(self) -> Sequence[Route]:
        return [
            Route("/v1/account/credits", self._credits, methods=["GET"]),
            Route("/v1/enrich/all", self._submit, methods=["POST"]),
            Route("/v1/enrich/all/{id}", self._fetch, methods=["GET"]),
        ]

    async def not_found(self, _request: Request, _error: Exception) -> Response:
        return JSONResponse({"detail": "Not Found"}, 404)

    async def _credits(self, request: Request) -> Response:
        if not _has_key(request):
            raise Refusal(401, {"detail": "Invalid API key"})
        self._take_turn()
        note(request, "", credits=-self._give_back())
        return JSONResponse({"credits": self.account.credits})

    async def _submit(self, request: Request) -> Response:
        self._admit(request)
        returned = self._give_back()
        records, english = _read(await json_object(request))
        cost = sum(map(_can_be_worked_on, records))
        if cost > self.account.credits:
            raise _refused(403, "You don't have enough credits to process this request")
        jobs = len(self._jobs) + 1
        job_id = f"qzmxkpvlrtdn{jobs:03x}"
        job = _Job(records, english, self._clock.monotonic() + self.account.ready_after_s, 0)
        for record in records:
            known = self._find(record)
            job.results.append(_enriched(record, known, english, self._addresses))
            # The check of an address that was there already is paid for, whatever it finds.
            job.refund += _can_be_worked_on(record) and known is None and not record.get("email")
        self.account = replace(self.account, credits=self.account.credits - cost)
        if cost:
            self._jobs[job_id] = job
        note(request, "submitted" if cost else "", [job_id] if cost else [], cost - returned)
        answer = {"error": False, "success": True, "request_id": job_id, "credits_left": self.account.credits}
        if any(warnings := [_warnings(record) for record in records]):
            answer["data"] = [record | {"warnings": found} for record, found in zip(records, warnings, strict=True)]
        return JSONResponse(answer)

    async def _fetch(self, request: Request) -> Response:
        self._admit(request)
        note(request, "", credits=-self._give_back())
        job = self._jobs.get(request.path_params["id"])
        if job and self._clock.monotonic() >= job.due_at:
            data = job.results
        elif job and request.query_params.get("forceResults") == "true":
            data = job.records
        else:
            return JSONResponse({"error": False, "success": False, "reason": NOT_READY})
        if self.account.results == "reversed":
            data = data[::-1]
        return JSONResponse({"error": False, "success": True, "data": data, "credits_left": self.account.credits})

    def _admit(self, request: Request) -> None:
        if not _has_key(request):
            raise _refused(401, "Invalid API key")
        self._take_turn()

    def _take_turn(self) -> None:
        if self._second.used >= self.account.requests_per_second:
            raise _refused(429, "Too many requests, please slow down")
        self._second.take()

    def _give_back(self) -> int:
        """Return the credits for what was not found in the jobs that are done by now; says how many."""
        returned = 0
        for job in self._jobs.values():
            if self._clock.monotonic() >= job.due_at:
                returned += job.refund
                job.refund = 0
        self.account = replace(self.account, credits=self.account.credits + returned)
        return returned

    def _find(self, record: Mapping[str, Any]) -> Known | None:
        return self._directory.find(
            email=_text(record, "email"),
            linkedin=_text(record, "linkedin"),
            name=_text(record, "full_name") or f"{_text(record, 'first_name')} {_text(record, 'last_name')}",
            domain=_text(record, "website").lower().partition("://")[2].partition("/")[0]
            or _text(record, "website").partition("/")[0],
            company=_text(record, "company"),
        )


def _has_key(request: Request) -> bool:
    return request.headers.get("x-access-token") == KEYS["dropcontact"]


def _refused(status: int, reason: str) -> Refusal:
    return Refusal(status, {"error": True, "reason": reason, "success": False})


def _read(body: Mapping[str, Any] | None) -> tuple[list[dict[str, Any]], bool]:
    """The records of a batch, and whether it is to be answered in English."""
    if body is None:
        raise _refused(400, "Request body is not valid JSON")
    records = body.get("data")
    if records is None:
        raise _refused(400, "Missing data in JSON")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        where = {"loc": ["body", "data"], "msg": "value is not a valid list of records", "type": "type_error.list"}
        raise Refusal(422, {"detail": [where]})
    if len(records) > _BATCH:
        raise _refused(400, f"Too many records, you can only submit up to {_BATCH} records")
    if any(len(json.dumps(record, ensure_ascii=False).encode()) > _RECORD_BYTES for record in records):
        raise _refused(400, "Data size is too big, you can only submit up to 15 kB of data in a single record")
    return records, body.get("language") == "en"


def _can_be_worked_on(record: Mapping[str, Any]) -> bool:
    return any(_text(record, name) for name in _IDENTIFIERS)


def _warnings(record: Mapping[str, Any]) -> list[str]:
    return [f"unexpected_field: {name}" for name in sorted(record.keys() - _INPUT)]


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return value.strip() if isinstance(value, str) else ""


def _enriched(
    record: Mapping[str, Any], known: Known | None, english: bool, addresses: frozenset[str]
) -> dict[str, Any]:
    """A record with what was found; keys without a value are left out."""
    kept = {name: value for name, value in record.items() if name in _INPUT and value and name != "email"}
    if "num_siren" in kept:
        kept["siren"] = kept.pop("num_siren")
    given = _text(record, "email").lower()
    if known is None:
        if given:
            word = "nominative@pro" if given in addresses else "invalid@pro"
            kept["email"] = [{"email": given, "qualification": word if english else _FRENCH[word]}]
        return kept
    person = known.person
    word = "catch-all@pro" if known.catch_all else "nominative@pro"
    emails = [(known.dropcontact_email, word)]
    if known.number % 4 == 0:
        emails.append((f"hello@{known.domain}", "generic@pro"))
    found = {
        "civility": "Mrs" if english else "Madame",
        "first_name": person.first_name,
        "last_name": person.last_name,
        "full_name": f"{person.first_name} {person.last_name}",
        "email": [
            {"email": email, "qualification": label if english else _FRENCH.get(label, label)}
            for email, label in emails
        ],
        "company": person.company,
        "website": f"www.{known.domain}",
        "linkedin": f"www.linkedin.com/in/{known.linkedin}",
        "job": person.title,
        "phone": known.phone,
        "nb_employees": str(len(known.domain) * 3),
    }
    return kept | {name: value for name, value in found.items() if value}
