"""Dropcontact against answers as they were recorded or documented, and its waiting on a clock of our own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from fakes import ManualClock
from http_server import Recording, reply

from aicmo.gateways import Applied, Outcome
from aicmo.gateways.attempt import Quota
from aicmo.gateways.leads import EmailStatus, Lead
from aicmo.gateways.providers.dropcontact import DropcontactProvider, DropcontactSettings, qualify

JANE = Lead(first_name="Jane", last_name="Doe", company="Example", domain="example.com")
OMAR = Lead("omar@example.org")
NOBODY = Lead(first_name="Zoë")
TAKEN = reply(200, {"error": False, "success": True, "request_id": "qzmxkp/aaa", "credits_left": 15276})
NOT_READY = reply(200, {"error": False, "success": False, "reason": "Request not ready yet, try again in 30 seconds"})


def record(place: int, *emails: tuple[str, str], **more: Any) -> dict[str, Any]:
    found = [{"email": email, "qualification": word} for email, word in emails]
    return {"custom_fields": {"aicmo_id": str(place)}, **({"email": found} if found else {}), **more}


def ready(*records: dict[str, Any]) -> httpx.Response:
    return reply(200, {"error": False, "success": True, "credits_left": 15275, "data": list(records)})


JANES = record(
    0,
    ("hello@example.com", "generic@pro"),
    ("jane.doe@example.com", "nominative@pro"),
    civility="Mrs",
    first_name="Jane",
    last_name="Doe",
    full_name="Jane Doe",
    job="Head of Growth",
    company="Example",
    website="www.example.com",
    linkedin="https://www.linkedin.com/in/janedoe-example",
    phone="+351 21 000 0000",
    nb_employees="42",
)


@asynccontextmanager
async def dropcontact(
    *answers: Any, **settings: Any
) -> AsyncIterator[tuple[DropcontactProvider, Recording, ManualClock]]:
    transport, clock = Recording(*answers), ManualClock()
    provider = DropcontactProvider(
        "dropcontact", DropcontactSettings(**settings), secret=lambda: "dc-key-1234", clock=clock, transport=transport
    )
    try:
        yield provider, transport, clock
    finally:
        await provider.close()


# --- a batch that goes well -------------------------------------------------------------------------------------------


async def test_a_batch_is_handed_in_waited_for_and_fetched() -> None:
    async with dropcontact(TAKEN, NOT_READY, NOT_READY, ready(JANES)) as (provider, transport, clock):
        started = clock.monotonic()
        answer = await provider.enrich([JANE])
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.OK, Applied.YES)
    assert (answer.attempt.reference, answer.attempt.latency_s) == ("qzmxkp/aaa", 90)
    assert clock.monotonic() - started == 90

    submitted, *looks = transport.asked
    assert (submitted.method, str(submitted.url)) == ("POST", "https://api.dropcontact.com/v1/enrich/all")
    assert submitted.headers["x-access-token"] == "dc-key-1234"
    assert {str(look.url) for look in looks} == {"https://api.dropcontact.com/v1/enrich/all/qzmxkp%2Faaa"}
    person = {"first_name": "Jane", "last_name": "Doe", "company": "Example", "website": "example.com"}
    sent = {"data": [person | {"custom_fields": {"aicmo_id": "0"}}], "siren": False, "language": "en"}
    assert json.loads(submitted.content) == sent


async def test_what_was_found_is_kept_and_the_best_address_goes_first() -> None:
    async with dropcontact(TAKEN, ready(JANES)) as (provider, _, __):
        answer = await provider.enrich([JANE])
    assert answer.value is not None and (jane := answer.value[0]) is not None
    assert [(it.email, it.status) for it in jane.emails] == [
        ("jane.doe@example.com", EmailStatus.VALID),
        ("hello@example.com", EmailStatus.RISKY),
    ]
    assert {name: fact.value for name, fact in jane.fields.items()} == {
        "email": "jane.doe@example.com",
        "title": "Head of Growth",
        "linkedin_url": "https://www.linkedin.com/in/janedoe-example",
        "phone": "+351 21 000 0000",
        "company_size": "42",
    }, "what was sent is no find"
    assert jane.credits == Decimal(1)


async def test_results_are_told_apart_by_our_own_mark_whatever_their_order() -> None:
    answer_ = ready(record(2, ("omar@example.org", "nominative@pro")), record(7), record(0, ("j@d.example", "x@pro")))
    async with dropcontact(TAKEN, answer_) as (provider, transport, _):
        answer = await provider.enrich([JANE, NOBODY, OMAR])
    assert answer.value is not None and answer.value[1] is None
    assert [each.emails[0].email for each in answer.value if each] == ["j@d.example", "omar@example.org"]
    marks = [each["custom_fields"]["aicmo_id"] for each in json.loads(transport.asked[0].content)["data"]]
    assert marks == ["0", "2"], "who cannot be found is not handed in"


async def test_nothing_found_is_a_miss_and_costs_nothing() -> None:
    echo = record(0, first_name="JANE", last_name="Doe", company="Example", website="www.example.com")
    async with dropcontact(TAKEN, ready(echo)) as (provider, _, __):
        answer = await provider.enrich([JANE])
    assert (answer.attempt.outcome, answer.attempt.applied, answer.value) == (Outcome.MISS, Applied.NO, None)


async def test_an_address_that_must_not_be_used_is_told_and_not_filled_in() -> None:
    async with dropcontact(TAKEN, ready(record(0, ("jane@example.com", "Do_Not_Contact@pro")))) as (provider, _, __):
        answer = await provider.enrich([JANE])
    assert answer.value is not None and (jane := answer.value[0]) is not None
    assert jane.fields == {}
    assert (jane.emails[0].status, jane.emails[0].do_not_contact) == (EmailStatus.INVALID, True)


@pytest.mark.parametrize("phone", ["+1 2", [{"number": "+1 2"}]])
async def test_a_phone_may_come_in_either_shape(phone: object) -> None:
    async with dropcontact(TAKEN, ready(record(0, phone=phone))) as (provider, _, __):
        answer = await provider.enrich([JANE])
    assert answer.value is not None and answer.value[0] is not None
    assert answer.value[0].fields["phone"].value == "+1 2"


@pytest.mark.parametrize("odd", ["text", None, [], {"email": "x"}])
async def test_one_odd_record_does_not_lose_the_others(odd: Any) -> None:
    good = record(1, ("omar@example.org", "nominative@pro"))
    strange = {"custom_fields": odd, "email": odd, "job": odd}
    async with dropcontact(TAKEN, ready(strange, good)) as (provider, _, __):
        answer = await provider.enrich([JANE, OMAR])
    assert answer.value is not None and answer.value[1] is not None


@pytest.mark.parametrize(
    ("word", "status", "keep_off"),
    [
        ("nominative@pro", EmailStatus.VALID, False),
        ("nominatif@pro", EmailStatus.VALID, False),
        ("NOMINATIVE@PRO", EmailStatus.VALID, False),
        ("nominative@perso", EmailStatus.RISKY, False),
        ("nominative@school", EmailStatus.RISKY, False),
        ("catch-all@pro", EmailStatus.RISKY, False),
        ("catch_all@pro", EmailStatus.RISKY, False),
        ("non_confirm@pro", EmailStatus.RISKY, False),
        ("generic@pro", EmailStatus.RISKY, False),
        ("generique@pro", EmailStatus.RISKY, False),
        ("générique@pro", EmailStatus.RISKY, False),
        ("role@pro", EmailStatus.RISKY, False),
        ("non_validated@pro", EmailStatus.RISKY, False),
        ("non_validé@pro", EmailStatus.RISKY, False),
        ("invalid@pro", EmailStatus.INVALID, False),
        ("invalide@pro", EmailStatus.INVALID, False),
        ("random@pro", EmailStatus.INVALID, False),
        ("nominative@disposable", EmailStatus.INVALID, False),
        ("nominatif@jetable", EmailStatus.INVALID, False),
        ("nominative@invalid domain", EmailStatus.INVALID, False),
        ("nominatif@domaine invalide", EmailStatus.INVALID, False),
        ("nominative@invalid", EmailStatus.INVALID, False),
        ("Do_Not_Contact@pro", EmailStatus.INVALID, True),
        ("Ne_Pas_Contacter@pro", EmailStatus.INVALID, True),
        ("do-not-contact@perso", EmailStatus.INVALID, True),
        ("brand_new@pro", EmailStatus.UNKNOWN, False),
        ("nominative", EmailStatus.UNKNOWN, False),
        ("", EmailStatus.UNKNOWN, False),
    ],
)
def test_every_spelling_of_a_qualification_is_known(word: str, status: EmailStatus, keep_off: bool) -> None:
    assert qualify(word) == (status, keep_off)


# --- waiting ----------------------------------------------------------------------------------------------------------


async def test_a_batch_that_is_not_ready_in_time_can_be_collected_later() -> None:
    async with dropcontact(TAKEN, NOT_READY) as (provider, transport, clock):
        started = clock.monotonic()
        answer = await provider.enrich([JANE])
        assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.TRANSIENT, Applied.YES)
        assert (answer.attempt.reference, answer.attempt.code) == ("qzmxkp/aaa", "200 not_ready")
        assert answer.attempt.detail.startswith("Dropcontact is still at work on the batch.")
        assert clock.monotonic() - started == 600 and len(transport.asked) == 1 + 20

        transport.answers = [ready(JANES)]
        later = await provider.collect(answer.attempt.reference, [JANE])
    assert later.value is not None and later.value[0] is not None
    assert len(transport.asked) == 22, "nothing is handed in twice"


@pytest.mark.parametrize(
    "trouble",
    [
        reply(429, {"error": True, "reason": "Too many"}),
        reply(500, {"detail": "x"}),
        reply(503),
        httpx.ReadError("cut"),
    ],
)
async def test_trouble_while_waiting_is_waited_out(trouble: Any) -> None:
    async with dropcontact(TAKEN, trouble, trouble, ready(JANES)) as (provider, _, __):
        assert (await provider.enrich([JANE])).attempt.outcome is Outcome.OK


async def test_a_pause_that_is_asked_for_is_kept() -> None:
    async with dropcontact(TAKEN, reply(429, {}, retry_after="120"), ready(JANES)) as (provider, _, clock):
        started = clock.monotonic()
        assert (await provider.enrich([JANE])).attempt.outcome is Outcome.OK
        assert clock.monotonic() - started == 30 + 120


async def test_a_pause_beyond_the_deadline_is_for_a_later_run() -> None:
    async with dropcontact(TAKEN, reply(429, {}, retry_after="3600")) as (provider, transport, clock):
        started = clock.monotonic()
        attempt = (await provider.enrich([JANE])).attempt
    assert (attempt.outcome, attempt.applied, attempt.reference) == (Outcome.RATE_LIMITED, Applied.YES, "qzmxkp/aaa")
    assert clock.monotonic() - started == 30 and len(transport.asked) == 2


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(401, {"detail": "Invalid API key"}), Outcome.AUTH),
        (reply(200, {"error": True, "success": False, "reason": "No such request"}), Outcome.TRANSIENT),
        (reply(404, {"detail": "Not Found"}), Outcome.AUTH),
    ],
)
async def test_waiting_ends_where_it_is_of_no_use_and_says_that_the_credits_are_spent(
    answer: httpx.Response, outcome: Outcome
) -> None:
    async with dropcontact(TAKEN, answer) as (provider, transport, _):
        attempt = (await provider.enrich([JANE])).attempt
    assert (attempt.outcome, attempt.applied, attempt.reference) == (outcome, Applied.YES, "qzmxkp/aaa")
    assert len(transport.asked) == 2


# --- handing in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome", "sentence"),
    [
        (
            reply(400, {"error": True, "reason": "Missing data in JSON", "success": False}),
            Outcome.INPUT,
            "Missing data",
        ),
        (
            reply(400, {"error": True, "reason": "Too many records, you can only submit up to 250 records"}),
            Outcome.INPUT,
            "up to 250 records",
        ),
        (
            reply(
                400,
                {
                    "error": True,
                    "reason": "Data size is too big, you can only submit up to 15 kB of data in a single record",
                },
            ),
            Outcome.INPUT,
            "15 kB",
        ),
        (reply(401, {"error": True, "reason": "Invalid API key"}), Outcome.AUTH, "set the right one"),
        (reply(401, {"detail": "Invalid API key"}), Outcome.AUTH, "set the right one"),
        (reply(403, {"error": True, "reason": "You don't have enough credits"}), Outcome.QUOTA, "too few credits"),
        (reply(403, {"error": True, "reason": "Forbidden"}), Outcome.QUOTA, "too few credits"),
        (reply(403, {"message": "Missing Authentication Token"}), Outcome.AUTH, "correct base_url"),
        (reply(403, {"error": True, "reason": "Unknown account"}), Outcome.AUTH, "does not allow this"),
        (reply(404, {"detail": "Not Found"}), Outcome.AUTH, "correct base_url"),
        (
            reply(422, {"detail": [{"loc": ["body", "data"], "msg": "not a list", "type": "type_error.list"}]}),
            Outcome.INPUT,
            "body.data: not a list",
        ),
        (reply(429, {"error": True, "reason": "Too many requests"}), Outcome.RATE_LIMITED, "asks for a pause"),
        (
            reply(200, {"error": True, "success": False, "reason": "Maintenance"}),
            Outcome.TRANSIENT,
            "refuses the batch",
        ),
    ],
)
async def test_a_refused_batch_was_not_taken(answer: httpx.Response, outcome: Outcome, sentence: str) -> None:
    async with dropcontact(answer) as (provider, transport, _):
        attempt = (await provider.enrich([JANE])).attempt
    assert (attempt.outcome, attempt.applied, attempt.reference) == (outcome, Applied.NO, "")
    assert sentence in attempt.detail and len(transport.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, {"detail": "oops"}),
        reply(502, "<html>"),
        reply(200, {"error": False, "success": True}),
        reply(200, {"error": False, "success": True, "request_id": ""}),
        reply(200, "<html>"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
    ],
)
async def test_a_batch_that_may_have_been_taken_is_never_handed_in_again(answer: Any) -> None:
    async with dropcontact(answer) as (provider, transport, _):
        attempt = (await provider.enrich([JANE])).attempt
    assert (attempt.outcome, attempt.applied, len(transport.asked)) == (Outcome.AMBIGUOUS, Applied.UNKNOWN, 1)


async def test_a_batch_has_one_to_250_people_who_can_be_found() -> None:
    async with dropcontact(TAKEN) as (provider, transport, _):
        for people in ([], [JANE] * 251):
            with pytest.raises(ValueError, match="250 at a time"):
                await provider.enrich(people)
        assert (await provider.enrich([NOBODY])).attempt.outcome is Outcome.SKIPPED
        assert not transport.asked


# --- verifying, health and balance ------------------------------------------------------------------------------------


async def test_one_address_is_verified_for_one_credit() -> None:
    found = record(0, ("other@example.org", "nominative@pro"), ("Omar@Example.org", "catch-all@pro"))
    async with dropcontact(TAKEN, ready(found)) as (provider, _, __):
        answer = await provider.verify("omar@example.org")
    assert answer.value is not None
    assert (answer.value.status, answer.value.word) == (EmailStatus.RISKY, "catch-all@pro")
    assert (answer.value.credits, answer.value.provider) == (Decimal(1), "dropcontact")


async def test_an_address_of_which_nothing_is_said_is_a_miss() -> None:
    async with dropcontact(TAKEN, ready(record(0, ("other@example.org", "nominative@pro")))) as (provider, _, __):
        answer = await provider.verify("omar@example.org")
    assert (answer.attempt.outcome, answer.value) == (Outcome.MISS, None)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, {"credits": 15277}), Outcome.OK),
        (reply(200, {"credits": 0}), Outcome.QUOTA),
        (reply(401, {"detail": "Invalid API key"}), Outcome.AUTH),
        (reply(200, {"nothing": 1}), Outcome.TRANSIENT),
        (reply(500, {"detail": "x"}), Outcome.TRANSIENT),
    ],
)
async def test_the_check_is_the_balance_which_is_free(answer: httpx.Response, outcome: Outcome) -> None:
    async with dropcontact(answer) as (provider, transport, _):
        attempt = await provider.check()
    assert (attempt.outcome, attempt.applied) == (outcome, Applied.NO)
    assert transport.asked[0].url.path == "/v1/account/credits"


async def test_the_balance_is_told() -> None:
    async with dropcontact(reply(200, {"credits": 15277})) as (provider, _, __):
        assert (await provider.quota()).value == Quota("credits", 15277, None, None)
