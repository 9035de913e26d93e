from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from aicmo.sandbox import KEYS, RunningSandbox
from aicmo.sandbox.known import RATES, Known, what_is_known

Ask = Callable[..., httpx.Response]

PEOPLE = what_is_known(1)
MATCH = "/people/match"


def somebody(case: str, place: int = 0) -> Known:
    return [known for known in PEOPLE if known.case == case and known.person.first_name.isalpha()][place]


def said(known: Known) -> dict[str, str]:
    """What a client knows of somebody whose address it has not."""
    person = known.person
    return {"first_name": person.first_name, "last_name": person.last_name, "domain": known.domain}


def left(ask: Ask) -> int:
    usage = ask("apollo", "POST", "/usage_stats/credit_usage_stats").json()
    return int(usage["credit_usage_stats"]["lead_credit"]["left_over"])


def test_health_tells_a_wrong_key_with_a_200_and_a_missing_one_with_plain_text(ask: Ask) -> None:
    good, wrong = ask("apollo", "GET", "/auth/health"), ask("apollo", "GET", "/auth/health", key="wrong")
    none = ask("apollo", "GET", "/auth/health", key="")

    assert (good.status_code, good.json()) == (200, {"healthy": True, "is_logged_in": True})
    assert (wrong.status_code, wrong.json()) == (200, {"healthy": True, "is_logged_in": False})
    assert none.status_code == 401


@pytest.mark.parametrize("key", ["", "wrong"])
def test_everywhere_else_a_bad_key_is_a_401_in_plain_text_without_rate_headers(ask: Ask, key: str) -> None:
    answer = ask("apollo", "POST", MATCH, key=key, json={})

    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/plain; charset=utf-8")
    assert answer.text.startswith("Invalid API key.")
    assert not any(name.startswith("x-rate") for name in answer.headers)


def test_a_key_in_the_query_or_the_body_counts_for_nothing(ask: Ask) -> None:
    key = {"api_key": KEYS["apollo"]}

    assert ask("apollo", "POST", MATCH, key="", params=key, json=key).status_code == 401


def test_a_scope_or_a_plan_that_is_missing_is_a_403_while_health_is_green(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("apollo", scopes="api/v1/organizations/enrich")
    scope = ask("apollo", "POST", MATCH, json={})
    sandbox.set_account("apollo", scopes="*", plan="free")
    plan = ask("apollo", "POST", MATCH, json={})

    assert ask("apollo", "GET", "/auth/health").json()["is_logged_in"] is True
    for answer, word in ((scope, "not authorized to access api/v1/people/match"), (plan, "on a free plan")):
        assert (answer.status_code, answer.json()["error_code"]) == (403, "API_INACCESSIBLE")
        assert word in answer.json()["error"]
        assert "x-rate-limit-minute" not in answer.headers
    assert ask("apollo", "POST", "/usage_stats/credit_usage_stats").status_code == 200


@pytest.mark.parametrize("where", ["json", "params"])
def test_a_match_is_found_by_body_or_query_and_costs_a_credit(ask: Ask, sandbox: RunningSandbox, where: str) -> None:
    known, before = somebody("both"), left(ask)

    answer = ask("apollo", "POST", MATCH, **{where: said(known)}).json()

    assert answer["person"]["email"] == known.person.email
    assert answer["person"]["organization"]["primary_domain"] == known.domain
    assert -(2**63) <= answer["request_id"] < 2**63
    assert left(ask) == before - 1
    [row] = [row for row in sandbox.http_log() if row.effect]
    assert (row.server, row.method, row.path, row.status) == ("apollo", "POST", "/api/v1/people/match", 200)
    assert (row.effect, row.on, row.credits, row.fault) == ("matched", (answer["person"]["id"],), 1, "")


def test_a_miss_is_a_200_without_a_person_and_free(ask: Ask) -> None:
    answer = ask("apollo", "POST", MATCH, json={"name": "Nobody Atall", "domain": "nowhere.example"})

    assert (answer.status_code, answer.json()) == (200, {"person": None})
    assert left(ask) == 2520


@pytest.mark.parametrize(
    "key",
    [
        lambda who: {"email": who.person.email},
        lambda who: {"linkedin_url": f"https://linkedin.com/in/{who.linkedin}/"},
        lambda who: {
            "name": f"{who.person.first_name} {who.person.last_name}",
            "organization_name": who.person.company,
        },
        lambda who: {"id": f"64a7ff0cc4dfae00013d{who.number:04x}"},
    ],
)
def test_every_kind_of_key_finds_the_person(ask: Ask, key: Callable[[Known], dict[str, str]]) -> None:
    known = somebody("only_apollo")

    assert ask("apollo", "POST", MATCH, json=key(known)).json()["person"]["email"] == known.person.email


def test_some_people_are_known_without_an_address_and_some_with_a_former_one(ask: Ask) -> None:
    unknown = next(known for known in PEOPLE if known.case == "only_dropcontact" and known.in_apollo)
    former = somebody("conflict")

    nothing = ask("apollo", "POST", MATCH, json={"email": unknown.person.email}).json()["person"]
    old = ask("apollo", "POST", MATCH, json={"email": former.person.email}).json()["person"]

    assert (nothing["email"], nothing["email_status"]) == (None, "unavailable")
    assert old["email"] != former.person.email == former.dropcontact_email


def test_out_of_credits_is_a_422_and_changes_nothing(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("apollo", credits=1)
    bulk = ask("apollo", "POST", "/people/bulk_match", json={"details": [said(somebody("both", n)) for n in (0, 1)]})
    first, second = (ask("apollo", "POST", MATCH, json=said(somebody("both"))) for _ in range(2))

    assert [answer.status_code for answer in (bulk, first, second)] == [422, 200, 422]
    assert second.json() == {"error": "Insufficient credits. Please upgrade your plan."}
    assert sum(row.credits for row in sandbox.http_log()) == 1


def test_a_phone_number_is_revealed_only_to_a_webhook_and_later(ask: Ask) -> None:
    asked = said(somebody("both")) | {"reveal_phone_number": True}

    assert ask("apollo", "POST", MATCH, json=asked).status_code == 422
    request_id = ask("apollo", "POST", MATCH, json=asked | {"webhook_url": "https://x.example"}).json()["request_id"]
    pending = ask("apollo", "GET", f"/webhook_result/{request_id}")
    assert (pending.status_code, pending.json()) == (
        404,
        {"error_code": "result_pending", "retry_after_seconds": 10},
    )
    assert ask("apollo", "GET", "/webhook_result/1").json() == {"error_code": "request_id_unknown"}
    assert ask("apollo", "GET", "/webhook_result/x").status_code == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "INVALID_REQUEST"),
        ({"details": []}, 400, "INVALID_REQUEST"),
        ({"details": [{}] * 11}, 400, "RECORD_LIMIT_EXCEEDED"),
        ({"details": {"a": 1}}, 422, "UNKNOWN_ERROR"),
        ([1], 400, "INVALID_REQUEST"),
    ],
)
def test_a_batch_of_the_wrong_shape_is_refused(ask: Ask, body: object, status: int, code: str) -> None:
    answer = ask("apollo", "POST", "/people/bulk_match", json=body)

    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.headers["x-rate-limit-minute"] == "1000"


@pytest.mark.parametrize(
    ("listing", "expected"), [("holes", ["0", None, "1"]), ("dense", ["0", "1"]), ("reversed", ["1", "0"])]
)
def test_a_batch_counts_what_it_found_in_an_order_of_its_own(
    ask: Ask, sandbox: RunningSandbox, listing: str, expected: list[str | None]
) -> None:
    sandbox.set_account("apollo", matches=listing)
    people = [somebody("both", 0), somebody("both", 1)]
    details = [said(people[0]), {"email": "nobody@nowhere.example"}, said(people[1])]

    answer = ask("apollo", "POST", "/people/bulk_match", json={"details": details}).json()

    emails = {known.person.email: str(place) for place, known in enumerate(people)}
    assert [match and emails[match["email"]] for match in answer["matches"]] == expected
    assert (answer["status"], answer["error_code"], answer["total_requested_enrichments"]) == ("success", None, 3)
    assert (answer["unique_enriched_records"], answer["missing_records"], answer["credits_consumed"]) == (2, 1, 2)


def test_the_placeholder_stands_in_for_everybodys_address_outside_of_enrichment(ask: Ask) -> None:
    people = [ask("apollo", "GET", f"/people/64a7ff0cc4dfae00013d{known.number:04x}").json()["person"]
              for known in (somebody("both", 0), somebody("both", 1))]  # fmt: skip

    assert [person["email"] for person in people] == ["email_not_unlocked@domain.com"] * 2
    assert {person["email_status"] for person in people} == {"verified"}
    assert ask("apollo", "GET", "/people/x").json() == {"error": "Person does not exist."}


def test_unknown_filters_are_ignored_without_a_word(ask: Ask) -> None:
    search = "/mixed_people/api_search"
    everybody = ask("apollo", "POST", search, json={"titles": ["CTO"], "page": 1, "per_page": 5}).json()
    some = ask("apollo", "POST", search, params={"person_titles[]": ["CTO"]}).json()

    assert everybody["total_entries"] > some["total_entries"] > 0
    assert len(everybody["people"]) == 5
    assert {person["title"] for person in some["people"]} == {"CTO"}
    assert all("email" not in person and "last_name" not in person for person in some["people"])
    assert left(ask) == 2520
    assert "deprecated" in ask("apollo", "POST", "/mixed_people/search", json={}).json()["error"]


def test_the_path_without_api_knows_nobody(ask: Ask, sandbox: RunningSandbox) -> None:
    bare = sandbox.http["apollo"].base_url.replace("/api/v1", "/v1")
    answer = httpx.post(f"{bare}/people/match", json=said(somebody("both")), trust_env=False)

    assert (answer.status_code, answer.json()["person"]) == (200, None)


def test_a_company_is_found_by_any_key_and_costs_a_credit(ask: Ask) -> None:
    enrich = "/organizations/enrich"
    found = [ask("apollo", "GET", enrich, params={"domain": domain}).json() for domain in {k.domain for k in PEOPLE}]
    hits = [answer["organization"] for answer in found if answer]

    assert 0 < found.count({}) < len(found)
    assert left(ask) == 2520 - len(hits)
    assert ask("apollo", "GET", enrich, params={"website": hits[0]["website_url"]}).json() == {"organization": hits[0]}
    assert ask("apollo", "GET", enrich).json() == {"error": "Required parameter 'domain' missing"}


def test_a_rate_is_limited_by_endpoint_and_says_when_to_come_back(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("apollo", hourly_limit=2)
    answers = [ask("apollo", "POST", MATCH, json={}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-hourly-requests-left"] for answer in answers] == ["1", "0", "0"]
    assert answers[0].headers["x-rate-limit-24-hour"] == ""
    assert "x-24-hour-usage" not in answers[0].headers
    assert 3590 <= int(answers[2].headers["retry-after"]) <= 3600
    assert "is 2 times per hour." in answers[2].json()["message"]
    assert ask("apollo", "POST", "/people/bulk_match", json={"details": [{}]}).status_code == 200


def test_older_headers_call_the_day_daily(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("apollo", older_headers=True, daily_limit=600)
    headers = ask("apollo", "POST", MATCH, json={}).headers

    assert (headers["x-rate-limit-daily"], headers["x-daily-usage"], headers["x-daily-requests-left"]) == (
        "600",
        "1",
        "599",
    )
    assert "x-rate-limit-24-hour" not in headers


def test_the_balance_is_the_lead_credit_and_the_profile_misleads(ask: Ask) -> None:
    ask("apollo", "POST", MATCH, json=said(somebody("both")))
    usage = ask("apollo", "POST", "/usage_stats/credit_usage_stats").json()
    profile = ask("apollo", "GET", "/users/api_profile", params={"include_credit_usage": "true"}).json()
    rates = ask("apollo", "POST", "/usage_stats/api_usage_stats").json()

    assert usage["credit_usage_stats"]["lead_credit"] == {"limit": 2520, "consumed": 1, "left_over": 2519}
    assert datetime.fromisoformat(usage["current_credit_cycle"]["end_date"]) > datetime.now(UTC)
    assert (profile["num_credits_remaining"], profile["total_unified_credits_used"]) == (0, 1)
    assert rates['["api/v1/people", "match"]']["minute"]["consumed"] == 1
    assert all(isinstance(json.loads(name), list) for name in rates)


def test_what_both_providers_know_has_exactly_the_stated_rates(ask: Ask) -> None:
    answers = [
        ask("apollo", "POST", "/people/bulk_match", json={"details": [{"email": k.person.email} for k in batch]}).json()
        for batch in (PEOPLE[at : at + 10] for at in range(0, 300, 10))
    ]
    matches = [match for answer in answers for match in answer["matches"]]

    right = sum(bool(m) and m["email"] == k.person.email for m, k in zip(matches, PEOPLE, strict=True))
    wrong = sum(bool(m) and m["email"] not in (None, k.person.email) for m, k in zip(matches, PEOPLE, strict=True))
    assert right / 300 == pytest.approx(RATES.both + RATES.only_apollo)
    assert wrong / 300 == pytest.approx(RATES.conflict)
