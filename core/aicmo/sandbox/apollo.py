"""Apollo as its documentation, and those who were surprised by it, describe it.

Its traps are the point: a key is refused in plain text, out of credits is a 422, a plan or a scope that is missing is a
403 that says nothing against the key, a miss is a 200, unknown filters are ignored, ``people/{id}`` gives everybody the
same placeholder for an address, and the path without ``/api`` answers that it knows nobody.
"""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock, rfc3339
from aicmo.sandbox import KEYS
from aicmo.sandbox.known import Directory, Known, what_is_known
from aicmo.sandbox.providers import Provider, Refusal, Window, json_object, note

PLACEHOLDER = "email_not_unlocked@domain.com"
_BATCH = 10
_PENDING_S = 0.5
_UPGRADE = "Please upgrade your plan from https://app.apollo.io/#/settings/plans/upgrade."
_BAD_KEY = "Invalid API key. See https://docs.apollo.io/reference/authentication for how to authenticate."
_ENRICHMENT = ("people/match", "people/bulk_match", "people/{id}", "organizations/enrich")
_OTHER_LIMITS = (200, 400, 2000)
# (name of the window in current headers, in older ones, in the text of a 429, seconds)
_WINDOWS = (
    ("minute", "minute", "minute", 60.0),
    ("hourly", "hourly", "hour", 3600.0),
    ("24-hour", "daily", "day", 86400.0),
)

_Endpoint = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Account:
    """A workspace at Apollo."""

    credits: int = 2520
    """Lead credits of the month."""
    credits_used: int = 0
    plan: str = "basic"
    """``free`` answers enrichment and search with 403."""
    scopes: str = "*"
    """Endpoints that the key may use, such as ``api/v1/people/match``, separated by spaces; ``*``: a master key."""
    minute_limit: int | None = 1000
    """Requests a minute to each enrichment endpoint; None: no limit, which an empty header says."""
    hourly_limit: int | None = None
    daily_limit: int | None = None
    older_headers: bool = False
    """The day's window is called ``daily`` rather than ``24-hour``."""
    matches: str = "holes"
    """How ``bulk_match`` lists them, which is not documented: ``holes`` (a null for each miss), ``dense`` (none) or
    ``reversed`` (dense, the last first)."""


class Apollo(Provider):
    path = "/api/v1"

    def __init__(self, seed: int, clock: Clock) -> None:
        self.account = Account()
        self._clock = clock
        self._dice = random.Random(seed)
        people = [known for known in what_is_known(seed) if known.in_apollo]
        self._people = {_id(known): known for known in people}
        self._directory = Directory(people, lambda known: known.apollo_email)
        # Every fifth company is one that Apollo has not heard of.
        companies = {known.domain: known.person.company for known in people}
        self._companies = {domain: name for place, (domain, name) in enumerate(sorted(companies.items())) if place % 5}
        self._windows: dict[str, tuple[Window, ...]] = defaultdict(
            lambda: tuple(Window(seconds, clock) for *_, seconds in _WINDOWS)
        )
        self._promised: dict[str, float] = {}
        """Answers that come later, by request id, and when they were asked for."""

    def routes(self) -> Sequence[Route]:
        table: list[tuple[str, str, _Endpoint]] = [
            ("GET", "users/api_profile", self._profile),
            ("POST", "people/match", self._match),
            ("POST", "people/bulk_match", self._bulk_match),
            ("GET", "people/{id}", self._person),
            ("GET", "organizations/enrich", self._organization),
            ("POST", "mixed_people/api_search", self._search),
            ("POST", "mixed_people/search", self._deprecated),
            ("POST", "usage_stats/credit_usage_stats", self._credit_usage),
            ("POST", "usage_stats/api_usage_stats", self._api_usage),
            ("GET", "webhook_result/{id}", self._later),
        ]
        return [
            Route("/api/v1/auth/health", self._health),
            *(Route(f"/api/v1/{name}", self._guarded(name, do), methods=[method]) for method, name, do in table),
            Route("/v1/{rest:path}", self._without_account, methods=["GET", "POST"]),
        ]

    # -- who may ask, and how often ----------------------------------------------------------------------------

    async def _health(self, request: Request) -> Response:
        if "x-api-key" not in request.headers:
            raise Refusal(401, _BAD_KEY)
        # A wrong key is told here with a 200; everywhere else with a 401.
        return JSONResponse({"healthy": True, "is_logged_in": _has_key(request)})

    async def _without_account(self, _request: Request) -> Response:
        return JSONResponse({"person": None, "people": [], "matches": [], "total_entries": 0})

    def _guarded(self, name: str, do: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            if not _has_key(request):
                raise Refusal(401, _BAD_KEY)
            self._authorise(f"api/v1/{name}", name in _ENRICHMENT or name.startswith("mixed_"))
            self._take_turn(name)
            try:
                return JSONResponse(await do(request), headers=self._rate_headers(name))
            except Refusal as refusal:
                refusal.headers.update(self._rate_headers(name))
                raise

        return serve

    def _authorise(self, endpoint: str, paid: bool) -> None:
        if paid and self.account.plan == "free":
            text = f"{endpoint} is not accessible with this access token on a free plan. {_UPGRADE}"
        elif self.account.scopes != "*" and endpoint not in self.account.scopes.split():
            text = (
                f"This API key is not authorized to access {endpoint}. "
                "Request an API key from your administrator that has access to this endpoint."
            )
        else:
            return
        raise Refusal(403, {"error": text, "error_code": "API_INACCESSIBLE"})

    def _limits(self, name: str) -> tuple[int | None, ...]:
        if name in _ENRICHMENT:
            return (self.account.minute_limit, self.account.hourly_limit, self.account.daily_limit)
        return _OTHER_LIMITS

    def _take_turn(self, name: str) -> None:
        windows = self._windows[name]
        for window, limit, (*_, unit, _seconds) in zip(windows, self._limits(name), _WINDOWS, strict=True):
            if limit is not None and window.used >= limit:
                text = (
                    f"The maximum number of api calls allowed for api/v1/{name} is {limit} times per {unit}. {_UPGRADE}"
                )
                wait = {"retry-after": str(math.ceil(window.shuts_in_s))}
                raise Refusal(429, {"message": text}, wait | self._rate_headers(name))
        for window in windows:
            window.take()

    def _rate_headers(self, name: str) -> dict[str, str]:
        headers = {}
        for window, limit, (current, older, *_) in zip(self._windows[name], self._limits(name), _WINDOWS, strict=True):
            called = older if self.account.older_headers else current
            headers[f"x-rate-limit-{called}"] = "" if limit is None else str(limit)
            if limit is not None:
                headers[f"x-{called}-usage"] = str(window.used)
                headers[f"x-{called}-requests-left"] = str(max(0, limit - window.used))
        return headers

    def _charge(self, credits: int) -> None:
        """Take them, or refuse the request whole."""
        if self.account.credits - self.account.credits_used < max(credits, 1):
            raise Refusal(422, {"error": "Insufficient credits. Please upgrade your plan."})
        self.account = replace(self.account, credits_used=self.account.credits_used + credits)

    # -- people ------------------------------------------------------------------------------------------------

    async def _match(self, request: Request) -> Any:
        asked = await _parameters(request)
        _check_flags(asked)
        known = self._find(asked)
        self._charge(1 if known else 0)
        if known is None:
            return {"person": None}
        note(request, "matched", [_id(known)], 1)
        return {"person": _person(known), "request_id": self._request_id(asked)}

    async def _bulk_match(self, request: Request) -> Any:
        asked = await _parameters(request)
        details = asked.get("details")
        if not details:
            raise _failed(400, "INVALID_REQUEST", "invalid request, missing details")
        if not isinstance(details, list) or not all(isinstance(each, dict) for each in details):
            raise _failed(422, "UNKNOWN_ERROR", "no implicit conversion of Symbol into Integer")
        if len(details) > _BATCH:
            raise _failed(400, "RECORD_LIMIT_EXCEEDED", f"cannot enrich more than {_BATCH} in a single request")
        _check_flags(asked)
        found = [self._find(each) for each in details]
        people = [known for known in found if known]
        charged = {_id(known) for known in people}
        self._charge(len(charged))
        if charged:
            note(request, "matched", [_id(known) for known in people], len(charged))
        matches: list[Any] = [known and _person(known) for known in found]
        if self.account.matches != "holes":
            matches = [match for match in matches if match]
        if self.account.matches == "reversed":
            matches.reverse()
        return {
            "status": "success",
            "error_code": None,
            "error_message": None,
            "total_requested_enrichments": len(details),
            "unique_enriched_records": len(charged),
            "missing_records": found.count(None),
            "credits_consumed": len(charged),
            "matches": matches,
            "request_id": self._request_id(asked),
        }

    def _find(self, asked: Mapping[str, Any]) -> Known | None:
        if _text(asked, "id") in self._people:
            return self._people[_text(asked, "id")]
        return self._directory.find(
            email=_text(asked, "email"),
            linkedin=_text(asked, "linkedin_url"),
            name=_text(asked, "name") or f"{_text(asked, 'first_name')} {_text(asked, 'last_name')}",
            domain=_text(asked, "domain"),
            company=_text(asked, "organization_name"),
        )

    def _request_id(self, asked: Mapping[str, Any]) -> int:
        request_id = self._dice.randrange(-(2**63), 2**63)
        if asked.get("webhook_url"):
            self._promised[str(request_id)] = self._clock.monotonic()
        return request_id

    async def _later(self, request: Request) -> Any:
        request_id = request.path_params["id"]
        if not request_id.removeprefix("-").isdecimal():
            raise Refusal(400, {"error_code": "invalid_request_id"})
        if request_id not in self._promised:
            raise Refusal(404, {"error_code": "request_id_unknown"})
        if self._clock.monotonic() - self._promised[request_id] < _PENDING_S:
            raise Refusal(404, {"error_code": "result_pending", "retry_after_seconds": 10})
        return {
            "request_id": request_id,
            "webhook_status": "delivered",
            "request_type": "phone",
            "last_dispatched_at": rfc3339(self._clock.now()),
            "failure_reason": None,
            "webhook_result": {"people": []},
        }

    async def _person(self, request: Request) -> Any:
        known = self._people.get(request.path_params["id"])
        if known is None:
            raise Refusal(422, {"error": "Person does not exist."})
        self._charge(1)
        note(request, "matched", [_id(known)], 1)
        return {"person": _person(known) | {"email": PLACEHOLDER, "email_status": "verified"}}

    async def _search(self, request: Request) -> Any:
        asked = await _parameters(request)
        page, per_page = _number(asked, "page", 1), min(100, _number(asked, "per_page", 10))
        # Two filters are known by either spelling. Whatever else is asked for is ignored without a word.
        titles = [title.casefold() for title in _texts(asked, "person_titles")]
        domains = _texts(asked, "q_organization_domains_list")
        found = [
            known
            for known in self._people.values()
            if (not titles or known.person.title.casefold() in titles) and (not domains or known.domain in domains)
        ]
        return {
            "total_entries": len(found),
            "people": [_stub(known) for known in found[(page - 1) * per_page : page * per_page]],
        }

    async def _deprecated(self, _request: Request) -> Any:
        text = "This endpoint is deprecated for API callers. Please use the new mixed_people/api_search endpoint: "
        raise Refusal(422, {"error": text + "https://docs.apollo.io/reference/people-api-search"})

    # -- companies and accounts --------------------------------------------------------------------------------

    async def _organization(self, request: Request) -> Any:
        asked = await _parameters(request)
        keys = [_text(asked, name) for name in ("domain", "linkedin_url", "name", "website")]
        if not any(keys):
            raise Refusal(422, {"error": "Required parameter 'domain' missing"})
        wanted = {key.lower().rstrip("/").rpartition("/")[2].removeprefix("www.") for key in keys if key}
        for domain, name in self._companies.items():
            if wanted & {domain, domain.partition(".")[0], name.lower()}:
                self._charge(1)
                note(request, "enriched", [domain], 1)
                return {"organization": _company(domain, name)}
        self._charge(0)
        return {}

    async def _profile(self, request: Request) -> Any:
        who = {"id": "66c8db577ed7f201b25c0aaa", "team_id": "6095a710bd01d100a506dbbb", "email": "ada@example.com"}
        who |= {"first_name": "Ada", "last_name": "Lovelace", "title": "Founder"}
        if request.query_params.get("include_credit_usage") != "true":
            return who
        # On plans with unified credits this figure stays at 0, whatever is left.
        return who | {
            "num_credits_remaining": 0,
            "effective_num_lead_credits": self.account.credits,
            "num_lead_credits_used": 0,
            "total_unified_credits_used": self.account.credits_used,
        }

    async def _credit_usage(self, _request: Request) -> Any:
        month = self._clock.now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
        nothing = {"limit": 0, "consumed": 0, "left_over": 0}
        return {
            "credit_usage_stats": {
                "lead_credit": _usage(self.account.credits, self.account.credits_used),
                "direct_dial_credit": nothing,
                "export_credit": nothing,
                "ai_credit": nothing,
            },
            "current_credit_cycle": {"start_date": rfc3339(month), "end_date": rfc3339(following)},
        }

    async def _api_usage(self, _request: Request) -> Any:
        # The key is itself JSON: ["api/v1/people", "match"].
        return {
            json.dumps(f"api/v1/{name}".rsplit("/", 1)): {
                unit: _usage(limit, window.used)
                for window, limit, (*_, unit, _seconds) in zip(windows, self._limits(name), _WINDOWS, strict=True)
                if limit is not None
            }
            for name, windows in self._windows.items()
        }


def _has_key(request: Request) -> bool:
    return request.headers.get("x-api-key") == KEYS["apollo"]


async def _parameters(request: Request) -> dict[str, Any]:
    """From the query, which is documented, and from a JSON body, which works as well."""
    body = await json_object(request)
    if body is None:
        raise _failed(400, "INVALID_REQUEST", "invalid request")
    query = request.query_params
    return {
        name: query.getlist(name) if name.endswith("[]") else query[name] for name in query if name != "api_key"
    } | body


def _check_flags(asked: Mapping[str, Any]) -> None:
    """What comes later needs a place to go to."""
    flags = ("reveal_phone_number", "run_waterfall_email", "run_waterfall_phone")
    if any(asked.get(flag) in (True, "true") for flag in flags) and not asked.get("webhook_url"):
        raise Refusal(422, {"error": "Invalid parameters"})


def _failed(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"status": "failed", "error_code": code, "error_message": message})


def _text(asked: Mapping[str, Any], name: str) -> str:
    value = asked.get(name)
    return value if isinstance(value, str) else ""


def _texts(asked: Mapping[str, Any], name: str) -> list[str]:
    values = asked.get(name) or asked.get(f"{name}[]")
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _number(asked: Mapping[str, Any], name: str, usual: int) -> int:
    value = str(asked.get(name, ""))
    return max(1, int(value)) if value.isdecimal() and len(value) < 6 else usual


def _usage(limit: int | None, used: int) -> dict[str, int]:
    return {"limit": limit or 0, "consumed": used, "left_over": max(0, (limit or 0) - used)}


def _id(known: Known) -> str:
    return f"64a7ff0cc4dfae00013d{known.number:04x}"


def _person(known: Known) -> dict[str, Any]:
    person = known.person
    guessed = known.apollo_email is not None and known.number % 5 == 0
    status = "unavailable" if known.apollo_email is None else "extrapolated" if guessed else "verified"
    company = _company(known.domain, person.company)
    return {
        "id": _id(known),
        "first_name": person.first_name,
        "last_name": person.last_name,
        "name": f"{person.first_name} {person.last_name}",
        "title": person.title or None,
        "headline": f"{person.title} at {person.company}" if person.title else None,
        "seniority": None,
        "email": known.apollo_email,
        "email_status": status,
        "extrapolated_email_confidence": 0.62 if guessed else None,
        "linkedin_url": f"http://www.linkedin.com/in/{known.linkedin}",
        "twitter_url": None,
        "photo_url": None,
        "city": person.city,
        "state": None,
        "country": None,
        "organization_id": company["id"],
        "organization": company,
        "employment_history": [],
        "departments": [],
        "subdepartments": [],
        "functions": [],
        "revealed_for_current_team": True,
    }


def _stub(known: Known) -> dict[str, Any]:
    last = known.person.last_name
    return {
        "id": _id(known),
        "first_name": known.person.first_name,
        "last_name_obfuscated": f"{last[:2]}***{last[-1:]}",
        "title": known.person.title or None,
        "last_refreshed_at": "2026-09-03T10:01:50.493+00:00",
        "has_email": known.apollo_email is not None,
        "has_city": True,
        "has_state": False,
        "has_country": False,
        "has_direct_phone": "Maybe: please request direct dial",  # Text, where its neighbours are true or false.
        "organization": {"name": known.person.company, "has_industry": True},
    }


def _company(domain: str, name: str) -> dict[str, Any]:
    size = sum(map(ord, domain))
    return {
        "id": f"5e66b6381e05b4008c83{size % 0x10000:04x}",
        "name": name,
        "primary_domain": domain,
        "website_url": f"http://www.{domain}",
        "linkedin_url": f"http://www.linkedin.com/company/{domain.partition('.')[0]}",
        "phone": None,
        "primary_phone": {},
        "industry": "marketing & advertising",
        "estimated_num_employees": size % 400 + 3,
        "founded_year": 1970 + size % 50,
        "country": None,
        "technology_names": ["Gmail"],
        "short_description": f"{name} makes examples.",
    }
