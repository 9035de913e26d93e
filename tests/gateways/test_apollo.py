"""Apollo against answers as they were recorded or documented, one for each row of what is known to go wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import ManualClock
from http_server import Recording, reply
from pydantic import ValidationError

from aicmo.gateways import Applied, HealthRegistry, Outcome, ProviderChain
from aicmo.gateways.attempt import Answer, Quota
from aicmo.gateways.leads import EmailStatus, Enrichment, Lead
from aicmo.gateways.limits import Allowance, LimitGate
from aicmo.gateways.providers.apollo import ApolloProvider, ApolloSettings
from aicmo.store.health import HealthDb
from aicmo.store.limits import LimitDb

KEY = "apollo-canary-key-1234"
JANE = Lead(first_name="Jane", last_name="Doe", domain="example.com")
OMAR = Lead("omar@example.org", "Omar", "Haddad")
ZOE = Lead(last_name="Zoë", linkedin_url="https://linkedin.com/in/zoe-x/")
PERSON: dict[str, Any] = {
    "id": "64a7ff0cc4dfae00013d0001",
    "first_name": "Jane",
    "last_name": "Doe",
    "name": "Jane Doe",
    "title": "Head of Growth",
    "seniority": "head",
    "email": "jane.doe@example.com",
    "email_status": "verified",
    "extrapolated_email_confidence": None,
    "linkedin_url": "http://www.linkedin.com/in/janedoe-example",
    "city": "Lisbon",
    "state": None,
    "country": "Portugal",
    "departments": ["master_marketing"],
    "organization": {
        "id": "5e66b6381e05b4008c830001",
        "name": "Example",
        "primary_domain": "example.com",
        "industry": "marketing & advertising",
        "estimated_num_employees": 42,
        "primary_phone": {},
    },
}


@asynccontextmanager
async def apollo(*answers: Any, **settings: Any) -> AsyncIterator[tuple[ApolloProvider, Recording]]:
    transport = Recording(*answers)
    provider = ApolloProvider(
        "apollo", ApolloSettings(**settings), secret=lambda: KEY, clock=ManualClock(), transport=transport
    )
    try:
        yield provider, transport
    finally:
        await provider.close()


async def enrich(answer: Any, *people: Lead, **settings: Any) -> Answer[tuple[Enrichment | None, ...]]:
    async with apollo(answer, **settings) as (provider, _):
        return await provider.enrich(people or (JANE,))


def person(first: str, last: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{first}-{last}", "first_name": first, "last_name": last, "title": f"{first}'s title", **more}


def matches(*people: Any, **more: Any) -> httpx.Response:
    return reply(200, {"status": "success", "credits_consumed": len(people), "matches": list(people), **more})


def ids(answer: Answer[tuple[Enrichment | None, ...]]) -> list[str | None]:
    assert answer.value is not None
    return [each.reference if each else None for each in answer.value]


# --- one person -------------------------------------------------------------------------------------------------------


async def test_a_person_is_found_with_the_provenance_of_every_field() -> None:
    async with apollo(reply(200, {"person": PERSON, "request_id": -1039995589705121900})) as (provider, transport):
        answer = await provider.enrich([JANE])
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.OK, Applied.YES)
    assert answer.value is not None and (jane := answer.value[0]) is not None
    assert {name: fact.value for name, fact in jane.fields.items()} == {
        "email": "jane.doe@example.com",
        "first_name": "Jane",
        "last_name": "Doe",
        "title": "Head of Growth",
        "seniority": "head",
        "linkedin_url": "http://www.linkedin.com/in/janedoe-example",
        "city": "Lisbon",
        "country": "Portugal",
        "company": "Example",
        "company_domain": "example.com",
        "industry": "marketing & advertising",
    }
    assert {(fact.provider, fact.credits) for fact in jane.fields.values()} == {("apollo", Decimal(1))}
    assert (jane.emails[0].status, jane.emails[0].word) == (EmailStatus.VALID, "verified")
    assert (jane.credits, jane.reference) == (Decimal(1), "64a7ff0cc4dfae00013d0001")

    asked = transport.asked[0]
    assert (asked.method, str(asked.url)) == ("POST", "https://api.apollo.io/api/v1/people/match")
    assert asked.headers["x-api-key"] == KEY
    assert transport.bodies() == [{"first_name": "Jane", "last_name": "Doe", "domain": "example.com"}]


@pytest.mark.parametrize("body", [{"person": None}, {}, {"person": {}}, {"person": {"id": "x", "email": None}}])
async def test_a_miss_is_nobodys_fault(body: object) -> None:
    answer = await enrich(reply(200, body))
    assert (answer.attempt.outcome, answer.attempt.applied, answer.value) == (Outcome.MISS, Applied.NO, None)


@pytest.mark.parametrize("address", ["email_not_unlocked@domain.com", "Email_Not_Unlocked@Domain.com"])
async def test_the_placeholder_is_no_address(address: str) -> None:
    answer = await enrich(reply(200, {"person": PERSON | {"email": address, "email_status": "verified"}}))
    assert answer.value is not None and (jane := answer.value[0]) is not None
    assert "email" not in jane.fields and jane.emails == ()


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("verified", EmailStatus.VALID),
        ("Verified", EmailStatus.VALID),
        ("likely to engage", EmailStatus.RISKY),
        ("likely_to_engage", EmailStatus.RISKY),
        ("extrapolated", EmailStatus.RISKY),
        ("guessed", EmailStatus.RISKY),
        ("bounced", EmailStatus.INVALID),
        ("unverified", EmailStatus.UNKNOWN),
        ("pending_manual_fulfillment", EmailStatus.UNKNOWN),
        ("something new", EmailStatus.UNKNOWN),
        (None, EmailStatus.UNKNOWN),
    ],
)
async def test_apollos_word_for_an_address_becomes_ours_and_is_kept(word: str | None, status: EmailStatus) -> None:
    answer = await enrich(reply(200, {"person": PERSON | {"email_status": word}}))
    assert answer.value is not None and (jane := answer.value[0]) is not None
    assert (jane.emails[0].status, jane.emails[0].word) == (status, word or "")
    assert ("email" in jane.fields) == (status is not EmailStatus.INVALID)


@pytest.mark.parametrize("email", ["not an address", "a@b@c.example", 7, ["x@y.example"], "x@y.example\r\nBcc: z"])
async def test_what_is_no_address_is_not_taken_for_one(email: object) -> None:
    answer = await enrich(reply(200, {"person": PERSON | {"email": email}}))
    assert answer.value is not None and answer.value[0] is not None
    assert "email" not in answer.value[0].fields


async def test_what_a_stranger_wrote_is_made_plain() -> None:
    answer = await enrich(reply(200, {"person": PERSON | {"title": "Boss\x1b[31m\u202e\r\nX: y", "organization": []}}))
    assert answer.value is not None and answer.value[0] is not None
    assert answer.value[0].fields["title"].value == "Boss[31m X: y"


async def test_private_addresses_are_only_asked_for_when_wanted() -> None:
    async with apollo(reply(200, {"person": None}), reveal_personal_emails=True) as (provider, transport):
        await provider.enrich([JANE])
    assert transport.bodies()[0]["reveal_personal_emails"] is True


# --- ten at a time ----------------------------------------------------------------------------------------------------


async def test_several_people_are_one_request_and_come_back_in_order() -> None:
    answer = matches(person("Jane", "Doe"), None, person("Omar", "Haddad"), credits_consumed=2)
    async with apollo(answer) as (provider, transport):
        found = await provider.enrich([JANE, ZOE, OMAR])
    assert ids(found) == ["Jane-Doe", None, "Omar-Haddad"]
    assert str(transport.asked[0].url).endswith("/people/bulk_match")
    assert [len(body["details"]) for body in transport.bodies()] == [3]


@pytest.mark.parametrize(
    "answers",
    [
        [person("Omar", "Haddad", email="OMAR@example.org"), person("J.", "D.", organization={"name": "x"})],
        [person("Omar", "H.", email="omar@example.org")],
        [None, person("O", "H", email="omar@example.org"), None],
    ],
)
async def test_answers_in_another_order_or_with_holes_are_traced_to_who_was_asked_about(answers: list[Any]) -> None:
    found = await enrich(matches(*answers), JANE, ZOE, OMAR)
    assert found.value is not None and found.value[2] is not None
    assert found.value[2].fields["email"].value.casefold() == "omar@example.org"
    assert found.value[0] is None or "email" not in found.value[0].fields


async def test_an_answer_is_known_by_its_linkedin_page_or_its_name_with_the_company() -> None:
    zoe = person("Z", "X", linkedin_url="http://www.linkedin.com/in/Zoe-X?trk=1")
    jane = person("JANE", "doe", organization={"primary_domain": "Example.com"})
    assert ids(await enrich(matches(zoe, jane), JANE, OMAR, ZOE)) == ["JANE-doe", None, "Z-X"]


async def test_an_answer_that_could_be_anybodys_is_dropped_and_said_so() -> None:
    found = await enrich(matches(person("Omar", "Haddad"), person("Some", "Body")), JANE, OMAR)
    assert ids(found) == [None, "Omar-Haddad"]
    assert found.attempt.detail == "1 of Apollo's answers could not be told to belong to anybody."


async def test_answers_that_are_nobodys_were_paid_for_all_the_same() -> None:
    found = await enrich(matches(person("Some", "Body")), JANE, OMAR)
    assert (found.attempt.outcome, found.attempt.applied, found.value) == (Outcome.MISS, Applied.YES, None)


async def test_two_people_of_one_name_are_told_apart_by_their_place_alone() -> None:
    twin = Lead(first_name="Jane", last_name="Doe", domain="example.com")
    org = {"primary_domain": "example.com"}
    both = matches(person("Jane", "Doe", id="a", organization=org), person("Jane", "Doe", id="b", organization=org))
    assert ids(await enrich(both, JANE, twin)) == ["a", "b"]


@pytest.mark.parametrize(
    ("told", "each"),
    [
        (2, ["1", "1"]),
        (None, ["1", "1"]),
        (1.5, ["0.75", "0.75"]),
        (0, ["0", "0"]),
        ("rubbish", ["1", "1"]),
        (-1, ["1", "1"]),
    ],
)
async def test_each_person_is_told_what_they_cost(told: object, each: list[str]) -> None:
    answer = matches(person("Jane", "Doe"), person("Omar", "Haddad"), credits_consumed=told)
    found = await enrich(answer, JANE, OMAR)
    assert found.value is not None
    assert [person.credits for person in found.value if person] == [Decimal(cost) for cost in each]


async def test_shares_of_a_cost_add_up() -> None:
    leads = [Lead(f"p{place}@x.example", last_name=f"P{place}") for place in range(3)]
    people = [person("", f"P{place}", email=f"p{place}@x.example") for place in range(3)]
    found = await enrich(matches(*people, credits_consumed=1), *leads)
    assert found.value is not None
    assert sum(each.credits for each in found.value if each) == 1


async def test_success_that_found_nobody_is_a_miss() -> None:
    answer = await enrich(matches(None, None, credits_consumed=0), JANE, OMAR)
    assert (answer.attempt.outcome, answer.value) == (Outcome.MISS, None)


async def test_who_cannot_be_found_is_not_asked_about() -> None:
    async with apollo(reply(200, {"person": PERSON})) as (provider, transport):
        found = await provider.enrich([Lead(first_name="Jane"), JANE, Lead(company="Example")])
        assert ids(found) == [None, PERSON["id"], None]
        nobody = await provider.enrich([Lead(first_name="Jane")])
    assert (nobody.attempt.outcome, nobody.attempt.applied) == (Outcome.SKIPPED, Applied.NO)
    assert len(transport.asked) == 1


async def test_more_than_ten_are_refused_before_anything_is_asked() -> None:
    async with apollo(reply(200, {})) as (provider, transport):
        for people in ([], [JANE] * 11):
            with pytest.raises(ValueError, match="10 at a time"):
                await provider.enrich(people)
    assert not transport.asked


async def test_one_odd_person_does_not_lose_the_others_that_were_paid_for() -> None:
    odd = {"id": 7, "first_name": ["x"], "email": {"a": 1}, "organization": "none", "title": None}
    found = await enrich(matches("rubbish", odd, person("Omar", "Haddad", email="omar@example.org")), JANE, ZOE, OMAR)
    assert ids(found)[2] == "Omar-Haddad"


async def test_an_answer_without_matches_may_have_been_paid_for() -> None:
    answer = await enrich(reply(200, {"status": "success"}), JANE, OMAR)
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.AMBIGUOUS, Applied.UNKNOWN)


# --- what goes wrong --------------------------------------------------------------------------------------------------

INVALID_KEY = "Invalid API key. See https://docs.apollo.io/reference/authentication for how to authenticate."
UPGRADE = "Please upgrade your plan from https://app.apollo.io/#/settings/plans/upgrade."
TOO_MANY = "The maximum number of api calls allowed for api/v1/people/match is 600 times per {}. " + UPGRADE


@pytest.mark.parametrize(
    ("answer", "outcome", "sentence"),
    [
        (reply(401, INVALID_KEY), Outcome.AUTH, "Apollo does not accept the API key; set the right one."),
        (reply(401, {"error_code": "INVALID_ACCESS_TOKEN"}), Outcome.AUTH, "Apollo does not accept the API key"),
        (
            reply(
                403,
                {
                    "error": "This API key is not authorized to access api/v1/people/match. Request an API key from "
                    "your administrator that has access to this endpoint.",
                    "error_code": "API_INACCESSIBLE",
                },
            ),
            Outcome.AUTH,
            "This Apollo key may not do that; tick the endpoint",
        ),
        (
            reply(
                403,
                {
                    "error": f"api/v1/people/match is not accessible with this access token on a free plan. {UPGRADE}",
                    "error_code": "API_INACCESSIBLE",
                },
            ),
            Outcome.AUTH,
            "Your Apollo plan does not include this; upgrade it there.",
        ),
        (
            reply(422, {"error": "Insufficient credits. Please upgrade your plan."}),
            Outcome.QUOTA,
            "Apollo has no credits left; buy some, or wait for the next cycle.",
        ),
        (reply(402, {"error": "Payment required"}), Outcome.QUOTA, "Apollo has no credits left"),
        (
            reply(
                400,
                {
                    "status": "failed",
                    "error_code": "RECORD_LIMIT_EXCEEDED",
                    "error_message": "cannot enrich more than 10 in a single request",
                },
            ),
            Outcome.INPUT,
            "Apollo cannot do anything with the request. cannot enrich more than 10",
        ),
        (
            reply(
                400,
                {
                    "status": "failed",
                    "error_code": "INVALID_REQUEST",
                    "error_message": "invalid request, missing details",
                },
            ),
            Outcome.INPUT,
            "Apollo cannot do anything with the request. invalid request, missing details",
        ),
        (
            reply(
                422,
                {
                    "status": "failed",
                    "error_code": "UNKNOWN_ERROR",
                    "error_message": "no implicit conversion of Symbol into Integer",
                },
            ),
            Outcome.INPUT,
            "Apollo cannot do anything with the request.",
        ),
        (
            reply(400, '{"error": "missing domains"}'),
            Outcome.INPUT,
            "Apollo cannot do anything with the request. missing",
        ),
        (reply(422, {"error": "Invalid parameters"}), Outcome.INPUT, "Apollo cannot do anything"),
        (reply(422, {"error": "Required parameter 'domain' missing"}), Outcome.INPUT, "Apollo cannot do anything"),
        (
            reply(
                422,
                {
                    "error": "This endpoint is deprecated for API callers. Please use the new "
                    "mixed_people/api_search endpoint: https://docs.apollo.io/reference/people-api-search"
                },
            ),
            Outcome.AUTH,
            "Apollo has retired this request",
        ),
        (reply(422, {"error": "Person does not exist."}), Outcome.MISS, "Apollo no longer has this person."),
        (reply(422, {"error": "This is obsolete data."}), Outcome.MISS, "Apollo no longer has this person."),
        (reply(404, {"error": "Not found"}), Outcome.AUTH, "There is no such address at Apollo; correct base_url."),
        (reply(429, {"message": TOO_MANY.format("minute")}), Outcome.RATE_LIMITED, "Apollo's limit for the minute"),
    ],
)
async def test_what_apollo_says_is_understood(answer: httpx.Response, outcome: Outcome, sentence: str) -> None:
    attempt = (await enrich(answer)).attempt
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO)
    assert attempt.detail.startswith(sentence)
    assert attempt.code.startswith(str(answer.status_code))


@pytest.mark.parametrize(
    ("span", "header", "seconds"),
    [
        ("minute", {}, 60),
        ("hour", {}, 600),
        ("day", {}, 3600),
        ("hour", {"retry_after": "17"}, 17),
        ("day", {"retry_after": "80000"}, 80_000),
        ("minute", {"retry_after": "garbage"}, 60),
    ],
)
async def test_too_fast_is_over_when_apollo_says_or_when_its_window_may_be(
    span: str, header: dict[str, str], seconds: int
) -> None:
    attempt = (await enrich(reply(429, {"message": TOO_MANY.format(span)}, **header))).attempt
    assert attempt.outcome is Outcome.RATE_LIMITED
    assert attempt.retry_at == ManualClock().now() + timedelta(seconds=seconds)


@pytest.mark.parametrize("trouble", [reply(500), reply(502, "<html>"), httpx.ReadTimeout(""), httpx.ReadError("reset")])
async def test_a_lost_answer_may_have_been_paid_for_and_is_not_asked_for_again(trouble: Any) -> None:
    async with apollo(trouble) as (provider, transport):
        attempt = (await provider.enrich([JANE])).attempt
    assert (attempt.outcome, attempt.applied, len(transport.asked)) == (Outcome.AMBIGUOUS, Applied.UNKNOWN, 1)


# --- health and balance -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, {"healthy": True, "is_logged_in": True}), Outcome.OK),
        (reply(200, {"healthy": True, "is_logged_in": False}), Outcome.AUTH),
        (reply(200, {"healthy": True}), Outcome.AUTH),
        (reply(200, {"healthy": True, "is_logged_in": "true"}), Outcome.AUTH),
        (reply(401, INVALID_KEY), Outcome.AUTH),
        (reply(200, "<html>Welcome to the hotel</html>"), Outcome.TRANSIENT),
        (reply(503), Outcome.TRANSIENT),
        (httpx.ReadTimeout("slow"), Outcome.TRANSIENT),
    ],
)
async def test_the_key_is_good_when_apollo_says_who_we_are(answer: Any, outcome: Outcome) -> None:
    async with apollo(answer) as (provider, transport):
        attempt = await provider.check()
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO)
    assert (transport.asked[0].method, transport.asked[0].url.path) == ("GET", "/api/v1/auth/health")


async def test_the_balance_is_the_shared_pool_alone() -> None:
    stats = {
        "credit_usage_stats": {
            "lead_credit": {"limit": 2520, "consumed": 544, "left_over": 1976},
            "direct_dial_credit": {"limit": 10, "consumed": 0, "left_over": 10},
        },
        "current_credit_cycle": {"start_date": "2026-11-01T00:00:00.000Z", "end_date": "2026-12-01T00:00:00.000Z"},
    }
    async with apollo(reply(200, stats)) as (provider, transport):
        answer = await provider.quota()
    assert answer.value == Quota("credits", 1976, 2520, datetime(2026, 12, 1, tzinfo=UTC))
    assert answer.attempt.applied is Applied.NO and transport.asked[0].method == "POST"


async def test_a_key_that_may_not_read_the_balance_is_still_good() -> None:
    refused = reply(403, {"error": "This API key is not authorized", "error_code": "API_INACCESSIBLE"})
    async with apollo(refused) as (provider, _):
        answer = await provider.quota()
    assert (answer.attempt.outcome, answer.value) == (Outcome.MISS, None)


# --- companies and configuration --------------------------------------------------------------------------------------


async def test_a_company_is_found_by_its_domain() -> None:
    async with apollo(reply(200, {"organization": PERSON["organization"]})) as (provider, transport):
        answer = await provider.enrich_company(Lead(domain="example.com", company="Other"))
    assert answer.value is not None
    assert {name: fact.value for name, fact in answer.value.fields.items()} == {
        "company": "Example",
        "company_domain": "example.com",
        "industry": "marketing & advertising",
        "company_size": "42",
    }
    assert transport.asked[0].url.query == b"domain=example.com"


@pytest.mark.parametrize("body", [{}, {"organization": None}, {"organization": {}}])
async def test_an_unknown_company_is_a_miss(body: object) -> None:
    async with apollo(reply(200, body)) as (provider, _):
        answer = await provider.enrich_company(Lead(company="Example"))
    assert (answer.attempt.outcome, answer.value) == (Outcome.MISS, None)


@pytest.mark.parametrize("address", ["https://api.apollo.io/v1", "https://api.apollo.io/v1/"])
def test_the_address_under_which_apollo_finds_nobody_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="api/v1"):
        ApolloSettings(base_url=address)


def test_a_budget_is_told_only_when_there_is_one() -> None:
    def monthly(**settings: int) -> object:
        return ApolloProvider("apollo", ApolloSettings(**settings)).monthly

    assert monthly() == {} and monthly(monthly_credits=500) == {"credits": 500}


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({"x-rate-limit-minute": "50", "x-rate-limit-hourly": "200", "x-rate-limit-24-hour": "600"},
         {"minute": 50, "hour": 200, "day": 600}),
        ({"x-rate-limit-minute": "1000", "x-rate-limit-hourly": "", "x-rate-limit-24-hour": ""}, {"minute": 1000}),
        ({"x-rate-limit-daily": "2000"}, {"day": 2000}),
        ({"x-rate-limit-minute": "-1", "x-rate-limit-hourly": "ten", "x-rate-limit-24-hour": "9" * 40}, {}),
        ({}, {}),
    ],
)  # fmt: skip
async def test_what_apollo_says_it_allows_is_read_and_empty_is_no_limit(
    headers: dict[str, str], allowed: dict[str, int]
) -> None:
    for status in (200, 429):
        answer = await enrich(httpx.Response(status, headers=headers, json={"person": PERSON}))
        assert dict(answer.attempt.allowed) == allowed


async def test_apollos_own_limit_holds_in_every_process_when_it_is_lower_than_the_configured(tmp_path: Path) -> None:
    clock, health = ManualClock(), HealthDb(tmp_path / "health.db")
    store, registry = LimitDb(health), HealthRegistry(health, clock=clock)
    answer = httpx.Response(200, headers={"x-rate-limit-minute": "2"}, json={"person": PERSON})
    gates = [LimitGate(store, {"apollo": Allowance({"minute": 50})}, clock=clock) for _ in range(2)]
    async with apollo(*[answer] * 9) as (provider, transport):
        chains = [ProviderChain("lead_enrichment", [provider], registry, clock=clock, gate=gate) for gate in gates]
        outcomes = []
        for turn in range(4):
            told = await chains[turn % 2].ask(lambda it: it.enrich([JANE]))
            outcomes.append(told.final.outcome)
        assert outcomes == [Outcome.OK, Outcome.OK, Outcome.SKIPPED, Outcome.SKIPPED]
        assert len(transport.asked) == 2
    await registry.close()
    store.close()
    health.close()
