from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from aicmo.sandbox import RunningSandbox
from aicmo.sandbox.known import Known, what_is_known

Ask = Callable[..., httpx.Response]

PEOPLE = what_is_known(1)
NOT_READY = {"error": False, "success": False, "reason": "Request not ready yet, try again in 30 seconds"}


def somebody(case: str, place: int = 0) -> Known:
    return [known for known in PEOPLE if known.case == case and known.person.first_name.isalpha()][place]


def said(known: Known, **more: Any) -> dict[str, Any]:
    person = known.person
    return {"first_name": person.first_name, "last_name": person.last_name, "website": known.domain, **more}


@pytest.fixture
def submit(ask: Ask, sandbox: RunningSandbox) -> Callable[..., dict[str, Any]]:
    """Hand a batch in and return its result, without a delay between the two."""
    sandbox.set_account("dropcontact", ready_after_s=0)

    def batch(*records: dict[str, Any], **options: Any) -> dict[str, Any]:
        sent = ask("dropcontact", "POST", "/enrich/all", json={"data": list(records), "language": "en", **options})
        assert sent.json()["error"] is False
        result: dict[str, Any] = ask("dropcontact", "GET", f"/enrich/all/{sent.json()['request_id']}").json()
        return result

    return batch


def credits(ask: Ask) -> int:
    return int(ask("dropcontact", "GET", "/account/credits").json()["credits"])


def test_the_balance_is_free_and_names_a_bad_key_in_detail(ask: Ask) -> None:
    assert ask("dropcontact", "GET", "/account/credits").json() == {"credits": 1500}
    for key in ("", "wrong"):
        answer = ask("dropcontact", "GET", "/account/credits", key=key)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid API key"})
    answer = ask("dropcontact", "POST", "/enrich/all", key="wrong", json={"data": [{}]})
    assert (answer.status_code, answer.json()["error"], answer.json()["success"]) == (401, True, False)
    assert answer.json()["reason"]


def test_not_ready_is_a_200_until_the_delay_is_over(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", ready_after_s=3600)
    slow = ask("dropcontact", "POST", "/enrich/all", json={"data": [said(somebody("both"))]}).json()["request_id"]
    sandbox.set_account("dropcontact", ready_after_s=0)
    quick = ask("dropcontact", "POST", "/enrich/all", json={"data": [said(somebody("both"))]}).json()["request_id"]

    answer = ask("dropcontact", "GET", f"/enrich/all/{slow}")
    assert (answer.status_code, answer.json()) == (200, NOT_READY)
    assert ask("dropcontact", "GET", f"/enrich/all/{quick}").json()["success"] is True
    forced = ask("dropcontact", "GET", f"/enrich/all/{slow}", params={"forceResults": "true"}).json()
    assert forced["data"] == [said(somebody("both"))]


def test_an_unknown_job_is_not_ready_for_ever(ask: Ask) -> None:
    answer = ask("dropcontact", "GET", "/enrich/all/never-was")

    assert (answer.status_code, answer.json()) == (200, NOT_READY)


def test_a_result_holds_only_what_was_found_with_the_fields_of_its_own(submit: Callable[..., dict[str, Any]]) -> None:
    known = somebody("both")
    [record] = submit(said(known, custom_fields={"id": "7"}, num_siren="123", linkedin_url="x"))["data"]

    assert record["email"][0]["email"] == known.person.email
    assert (record["website"], record["custom_fields"]) == (f"www.{known.domain}", {"id": "7"})
    assert (record["siren"], isinstance(record["nb_employees"], str)) == ("123", True)
    assert "linkedin_url" not in record and None not in record.values()
    assert record["civility"] == "Mrs"


def test_credits_are_taken_at_once_and_given_back_for_what_was_not_found(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", ready_after_s=3600)
    records = [said(somebody("both")), said(somebody("neither")), {}]
    sent = ask("dropcontact", "POST", "/enrich/all", json={"data": records}).json()
    assert (sent["credits_left"], credits(ask)) == (1498, 1498)  # The empty record costs nothing.

    sandbox.set_account("dropcontact", ready_after_s=0)
    ask("dropcontact", "POST", "/enrich/all", json={"data": [said(somebody("neither"))]})
    assert credits(ask) == 1498
    assert [(row.effect, row.credits) for row in sandbox.http_log()] == [
        ("submitted", 2),
        ("", 0),
        ("submitted", 1),
        ("", -1),
    ]


def test_the_check_of_an_address_is_paid_for_even_if_nothing_else_is_found(
    ask: Ask, submit: Callable[..., dict[str, Any]]
) -> None:
    [wrong] = submit({"email": "nobody@nowhere.example"})["data"]
    [right] = submit({"email": somebody("neither").person.email})["data"]

    assert wrong["email"] == [{"email": "nobody@nowhere.example", "qualification": "invalid@pro"}]
    assert right["email"][0]["qualification"] == "nominative@pro"
    assert credits(ask) == 1498


def test_a_batch_that_credits_do_not_cover_is_refused_whole(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", credits=1)
    batch = {"data": [said(somebody("both", 0)), said(somebody("both", 1))]}
    answer = ask("dropcontact", "POST", "/enrich/all", json=batch)

    assert (answer.status_code, answer.json()["error"], answer.json()["success"]) == (403, True, False)
    assert "credits" in answer.json()["reason"]
    assert credits(ask) == 1
    assert not any(row.effect for row in sandbox.http_log())


def test_an_empty_record_tells_the_balance_and_starts_nothing(ask: Ask, sandbox: RunningSandbox) -> None:
    assert ask("dropcontact", "POST", "/enrich/all", json={"data": [{}]}).json()["credits_left"] == 1500
    assert [row.effect for row in sandbox.http_log()] == [""]


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("{}", 400, "Missing data in JSON"),
        ("{", 400, "Request"),
        ('{"data": [' + ",".join(["{}"] * 251) + "]}", 400, "Too many records, you can only submit up to 250 records"),
        ('{"data": [{"company": "' + "x" * 15_000 + '"}]}', 400, "Data size is too big"),
        ('{"data": "x"}', 422, ""),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_batch_of_the_wrong_shape_is_refused(ask: Ask, body: str, status: int, reason: str) -> None:
    answer = ask("dropcontact", "POST", "/enrich/all", content=body)

    assert answer.status_code == status
    if status == 422:
        assert set(answer.json()["detail"][0]) == {"loc", "msg", "type"}
    else:
        assert answer.json()["reason"].startswith(reason)


def test_labels_are_french_unless_english_was_asked_for(submit: Callable[..., dict[str, Any]]) -> None:
    sure = next(known for known in PEOPLE if known.dropcontact_email and not known.catch_all)
    unsure = next(known for known in PEOPLE if known.dropcontact_email and known.catch_all)

    def labels(**options: Any) -> list[str]:
        records = submit(*({"linkedin": known.linkedin} for known in (sure, unsure)), **options)["data"]
        return [record["email"][0]["qualification"] for record in records]

    assert labels() == ["nominative@pro", "catch-all@pro"]
    assert labels(language="fr") == ["nominatif@pro", "catch-all@pro"]


def test_unexpected_fields_are_told_and_not_refused(ask: Ask) -> None:
    answer = ask("dropcontact", "POST", "/enrich/all", json={"data": [said(somebody("both"), numSiren="1")]}).json()

    assert (answer["error"], answer["success"]) == (False, True)
    assert answer["data"][0]["warnings"] == ["unexpected_field: numSiren"]


def test_results_may_come_in_another_order(submit: Callable[..., dict[str, Any]], sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", results="reversed")
    records = [said(somebody("both", place), custom_fields={"id": str(place)}) for place in range(3)]

    assert [record["custom_fields"]["id"] for record in submit(*records)["data"]] == ["2", "1", "0"]


def test_too_many_in_a_second_is_a_429_and_a_wrong_path_a_404(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("dropcontact", requests_per_second=1)
    answers = [ask("dropcontact", "GET", "/enrich/all/x").status_code for _ in range(3)]

    assert 429 in answers
    wrong = ask("dropcontact", "POST", "/batch", json={})
    assert (wrong.status_code, wrong.json()) == (404, {"detail": "Not Found"})
