"""Airtable against answers as they were recorded or documented, and the formulas it is asked with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fakes import ManualClock
from http_server import Recording, reply
from pydantic import ValidationError

from aicmo.gateways import Applied, Outcome
from aicmo.gateways.providers.airtable import AirtableProvider, AirtableSettings, formula, literal

BASE = "appAAAAAAAAAAAAAA"
SINCE = datetime(2026, 11, 22, 8, tzinfo=UTC)
ROW = {
    "id": "rec560UJdUtocSAAA",
    "createdTime": "2026-11-12T21:03:48.000Z",
    "fields": {"AICMO ID": "lead_01HZX", "Email": "jane.doe@example.com", "Status": "New"},
}
OTHER = {"id": "rec3lbPRG4aVqkAAA", "createdTime": "2026-11-22T08:00:00.000Z", "fields": {"AICMO ID": "lead_01HZZ"}}
PAGE = {"records": [ROW, OTHER]}
OFFSET = "itrSJ1l4jlPyxAAAA/rec3lbPRG4aVqkAAA"


@asynccontextmanager
async def airtable(*answers: Any, **settings: Any) -> AsyncIterator[tuple[AirtableProvider, Recording]]:
    transport = Recording(*answers)
    provider = AirtableProvider(
        "airtable",
        AirtableSettings(base_id=BASE, **settings),
        secret=lambda: "patCANARY.0123456789",
        clock=ManualClock(),
        transport=transport,
    )
    try:
        yield provider, transport
    finally:
        await provider.close()


def refused(status: int, kind: str, message: str = "") -> httpx.Response:
    return reply(status, {"error": {"type": kind, "message": message}})


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_a_table_is_read_page_by_page() -> None:
    async with airtable(reply(200, PAGE | {"offset": OFFSET}), reply(200, {"records": []})) as (provider, transport):
        first = await provider.list_records("contacts", since=SINCE)
        assert first.value is not None and first.value.next_page == OFFSET
        last = await provider.list_records("contacts", since=SINCE, page=OFFSET)
    assert last.value is not None and (last.value.records, last.value.next_page) == ((), "")
    assert (first.attempt.outcome, first.attempt.applied) == (Outcome.OK, Applied.NO)

    row = first.value.records[0]
    assert (row.id, row.created_at) == ("rec560UJdUtocSAAA", datetime(2026, 11, 12, 21, 3, 48, tzinfo=UTC))
    assert row.cells == {"AICMO ID": "lead_01HZX", "Email": "jane.doe@example.com", "Status": "New"}
    asked = transport.asked[1]
    assert (asked.method, asked.url.path) == ("GET", f"/v0/{BASE}/Contacts")
    assert asked.headers["authorization"] == "Bearer patCANARY.0123456789"
    assert dict(asked.url.params) == {
        "pageSize": "100",
        "filterByFormula": "IS_AFTER(LAST_MODIFIED_TIME(),DATETIME_PARSE('2026-11-22T08:00:00.000Z'))",
        "offset": OFFSET,
    }
    assert b"itrSJ1l4jlPyxAAAA%2Frec3" in asked.url.query


async def test_a_page_that_leads_to_itself_is_not_followed_for_ever() -> None:
    async with airtable(reply(200, PAGE | {"offset": OFFSET})) as (provider, _):
        answer = await provider.list_records("contacts", page=OFFSET)
    assert (answer.attempt.outcome, answer.value) == (Outcome.TRANSIENT, None)


@pytest.mark.parametrize("kind", ["LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "INVALID_OFFSET_VALUE"])
async def test_a_forgotten_page_says_begin_again_and_blames_nobody(kind: str) -> None:
    async with airtable(refused(422, kind)) as (provider, _):
        attempt = (await provider.list_records("contacts", page=OFFSET)).attempt
    assert (attempt.outcome, attempt.code) == (Outcome.INPUT, f"422 {kind}")
    assert "begin again with the first page" in attempt.detail


async def test_a_table_may_have_any_name() -> None:
    async with airtable(reply(200, PAGE), contacts_table="Leads/EU & co?", interactions_table="tblX") as (
        it,
        transport,
    ):
        await it.list_records("contacts", page_size=1000)
        await it.list_records("interactions", page_size=7)
    assert transport.asked[0].url.raw_path.split(b"?")[0].endswith(b"/Leads%2FEU%20%26%20co%3F")
    assert transport.asked[1].url.path.endswith("/tblX")
    assert [asked.url.params["pageSize"] for asked in transport.asked] == ["100", "7"]


async def test_cells_of_every_kind_become_plain_values() -> None:
    fields = {
        "text": "a\x1b[31m\u202eb\nc",
        "number": 3,
        "share": 0.5,
        "ticked": True,
        "choices": ["a", "b"],
        "links": [{"id": "rec1", "name": "Zoë"}, {"id": "rec2"}, None, 7],
        "person": {"id": "usr1", "email": "a@b.example", "name": "Ann"},
        "button": {"label": "x"},
        "none": None,
    }
    async with airtable(reply(200, {"records": [ROW | {"fields": fields}]})) as (provider, _):
        answer = await provider.list_records("contacts")
    assert answer.value is not None
    assert answer.value.records[0].cells == {
        "text": "a[31mb\nc",
        "number": 3,
        "share": 0.5,
        "ticked": True,
        "choices": ("a", "b"),
        "links": ("Zoë", "rec2", "7"),
        "person": "Ann",
    }


# --- formulas ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "'plain'"),
        ("O'Brien", r"'O\'Brien'"),
        ('say "hi"', "'say \"hi\"'"),
        ("back\\slash", r"'back\\slash'"),
        ("\\'", r"'\\\''"),
        ("') , TRUE(), ('", r"'\') , TRUE(), (\''"),
        ("{Email}", "'{Email}'"),
        ("line\nbreak\x00\x7f", "'linebreak'"),
        ("", "''"),
    ],
)
def test_a_text_cannot_leave_its_quotes(value: str, written: str) -> None:
    assert literal(value) == written


def test_conditions_are_joined_and_texts_compared_whole() -> None:
    assert formula(None, {}) == ""
    assert formula(None, {"Email": "o'b@x.example"}) == r"{Email}&''='o\'b@x.example'"
    assert formula(SINCE, {"A": "1", "B": "2"}) == (
        "AND({A}&''='1',{B}&''='2',IS_AFTER(LAST_MODIFIED_TIME(),DATETIME_PARSE('2026-11-22T08:00:00.000Z')))"
    )


@pytest.mark.parametrize("column", ["a}b", "a{b", "a\\b", "", "a\nb"])
def test_a_column_that_cannot_be_named_in_a_formula_is_refused(column: str) -> None:
    with pytest.raises(ValueError, match="name"):
        formula(None, {column: "x"})
    with pytest.raises(ValidationError):
        AirtableSettings(base_id=BASE, merge_field=column)


# --- writing ----------------------------------------------------------------------------------------------------------

ROWS = [{"AICMO ID": "lead_01HZX", "Email": "jane.doe@example.com"}, {"AICMO ID": "lead_01HZZ", "Age": 7}]
WRITTEN = PAGE | {"createdRecords": [OTHER["id"]], "updatedRecords": [ROW["id"]]}


async def test_rows_are_found_by_their_merge_field_and_changed_or_created() -> None:
    async with airtable(reply(200, WRITTEN)) as (provider, transport):
        answer = await provider.upsert("contacts", ROWS)
    assert (answer.attempt.outcome, answer.attempt.applied) == (Outcome.OK, Applied.YES)
    assert answer.value is not None
    assert answer.value.ids == (ROW["id"], OTHER["id"]) and answer.value.created == {OTHER["id"]}
    assert transport.asked[0].method == "PATCH"
    assert transport.bodies() == [
        {
            "performUpsert": {"fieldsToMergeOn": ["AICMO ID"]},
            "typecast": False,
            "records": [{"fields": row} for row in ROWS],
        }
    ]


async def test_rows_that_come_back_in_another_order_are_still_told_apart() -> None:
    async with airtable(reply(200, WRITTEN | {"records": [OTHER, ROW]})) as (provider, _):
        answer = await provider.upsert("contacts", ROWS)
    assert answer.value is not None and answer.value.ids == (ROW["id"], OTHER["id"])


async def test_up_to_three_merge_fields_may_be_named() -> None:
    rows = [{"A": "1", "B": 2, "C": True}]
    async with airtable(reply(200, {"records": [ROW], "createdRecords": []})) as (provider, transport):
        answer = await provider.upsert("contacts", rows, ("A", "B", "C"))
    assert answer.attempt.outcome is Outcome.OK
    assert transport.bodies()[0]["performUpsert"] == {"fieldsToMergeOn": ["A", "B", "C"]}


@pytest.mark.parametrize(
    ("rows", "merge_on", "why"),
    [
        ([{"A": "1"}], ("A", "B", "C", "D"), "merges on 3 columns at the most"),
        ([{"A": "1"}, {"B": "2"}], ("A",), "Row 2 has nothing in “A”"),
        ([{"A": "1"}, {"A": ""}], ("A",), "Row 2 has nothing in “A”"),
        ([{"A": "1", "B": "x"}, {"A": "1", "B": "x"}], ("A", "B"), "Two rows have the same “A” and “B”"),
    ],
)
async def test_rows_that_airtable_would_refuse_are_refused_before_anything_is_written(
    rows: list[dict[str, Any]], merge_on: tuple[str, ...], why: str
) -> None:
    async with airtable(reply(200, WRITTEN)) as (provider, transport):
        attempt = (await provider.upsert("contacts", rows, merge_on)).attempt
        assert (attempt.outcome, attempt.applied) == (Outcome.INPUT, Applied.NO)
        assert why in attempt.detail and not transport.asked
        with pytest.raises(ValueError, match="10 at a time"):
            await provider.upsert("contacts", [{"AICMO ID": str(place)} for place in range(11)])


async def test_a_silent_partial_success_is_not_believed() -> None:
    async with airtable(reply(200, {"records": [ROW]})) as (provider, _):
        answer = await provider.upsert("contacts", ROWS)
    assert (answer.attempt.outcome, answer.attempt.applied, answer.value) == (Outcome.TRANSIENT, Applied.UNKNOWN, None)


@pytest.mark.parametrize(
    "trouble",
    [reply(500), reply(502), reply(503), httpx.ReadTimeout("slow"), httpx.ReadError("cut"), reply(200, "<html>")],
)
async def test_a_lost_answer_to_an_upsert_may_be_asked_for_again_but_is_unknown(trouble: Any) -> None:
    async with airtable(trouble) as (provider, transport):
        attempt = (await provider.upsert("contacts", ROWS)).attempt
    assert (attempt.outcome, attempt.applied, len(transport.asked)) == (Outcome.TRANSIENT, Applied.UNKNOWN, 1)


# --- what goes wrong --------------------------------------------------------------------------------------------------

NOT_FOUND = (
    "Invalid permissions, or the requested model was not found. Check that both your user and your token have..."
)


@pytest.mark.parametrize(
    ("answer", "outcome", "code", "sentence"),
    [
        (reply(400, {"error": "INVALID_JSON"}), Outcome.INPUT, "400 INVALID_JSON", "cannot do anything"),
        (refused(401, "AUTHENTICATION_REQUIRED"), Outcome.AUTH, "401 AUTHENTICATION_REQUIRED", "set the right one"),
        (refused(401, "UNAUTHORIZED", "Invalid token"), Outcome.AUTH, "401 UNAUTHORIZED", "set the right one"),
        (
            refused(403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND", NOT_FOUND),
            Outcome.AUTH,
            "403 INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
            "check base_id, the tables' names",
        ),
        (refused(403, "INVALID_PERMISSIONS", "field locked"), Outcome.AUTH, "403 INVALID_PERMISSIONS", "your role"),
        (reply(404, {"error": "NOT_FOUND"}), Outcome.AUTH, "404 NOT_FOUND", "no such base or table"),
        (reply(404, {"error": {"type": "NOT_FOUND"}}), Outcome.AUTH, "404 NOT_FOUND", "no such base or table"),
        (reply(413, "too large"), Outcome.INPUT, "413", "cannot do anything"),
        (
            refused(422, "INVALID_FILTER_BY_FORMULA", "The formula is invalid"),
            Outcome.INPUT,
            "422 INVALID_FILTER_BY_FORMULA",
            "The formula is invalid",
        ),
        (refused(422, "UNKNOWN_FIELD_NAME", "Unknown: X"), Outcome.INPUT, "422 UNKNOWN_FIELD_NAME", "Unknown: X"),
        (refused(422, "INVALID_REQUEST_UNKNOWN"), Outcome.INPUT, "422 INVALID_REQUEST_UNKNOWN", "cannot do anything"),
        (
            refused(429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED"),
            Outcome.QUOTA,
            "429 PUBLIC_API_BILLING_LIMIT_EXCEEDED",
            "The month's Airtable calls are used up",
        ),
        (
            reply(429, {"errors": [{"error": "PUBLIC_API_BILLING_LIMIT_EXCEEDED", "message": "x"}]}),
            Outcome.QUOTA,
            "429 PUBLIC_API_BILLING_LIMIT_EXCEEDED",
            "The month's Airtable calls are used up",
        ),
        (refused(503, "RETRIABLE_ERROR"), Outcome.TRANSIENT, "503 RETRIABLE_ERROR", "Airtable is busy."),
        (reply(500), Outcome.TRANSIENT, "500", "Airtable is in trouble."),
    ],
)
async def test_what_airtable_says_is_understood(
    answer: httpx.Response, outcome: Outcome, code: str, sentence: str
) -> None:
    async with airtable(answer) as (provider, _):
        attempt = (await provider.list_records("contacts")).attempt
    assert (attempt.outcome, attempt.applied, attempt.code) == (outcome, Applied.NO, code)
    assert sentence in attempt.detail


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        ({"error": {"type": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded."}}, {}, 30),
        ({"errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded."}]}, {}, 30),
        ({}, {"retry_after": "5"}, 30),
        ({}, {"retry_after": "90"}, 90),
        ("Too many", {}, 30),
    ],
)
async def test_too_fast_costs_thirty_seconds_at_the_least(body: object, header: dict[str, str], seconds: int) -> None:
    async with airtable(reply(429, body, **header)) as (provider, _):
        attempt = (await provider.upsert("contacts", ROWS)).attempt
    assert (attempt.outcome, attempt.applied) == (Outcome.RATE_LIMITED, Applied.NO)
    assert attempt.retry_at == ManualClock().now() + timedelta(seconds=seconds)


async def test_a_busy_airtable_that_names_a_time_has_written_nothing() -> None:
    async with airtable(reply(503, {"error": {"type": "RETRIABLE_ERROR"}}, retry_after="3")) as (provider, _):
        attempt = (await provider.upsert("contacts", ROWS)).attempt
    assert (attempt.outcome, attempt.applied) == (Outcome.TRANSIENT, Applied.NO)


# --- health and configuration -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reply(200, {"id": "usrL2PNC5o3H4lAAA"}), Outcome.OK),
        (refused(401, "AUTHENTICATION_REQUIRED"), Outcome.AUTH),
        (reply(200, {}), Outcome.TRANSIENT),
    ],
)
async def test_the_check_asks_who_we_are(answer: httpx.Response, outcome: Outcome) -> None:
    async with airtable(answer) as (provider, transport):
        assert (await provider.check()).outcome is outcome
    assert transport.asked[0].url.path == "/v0/meta/whoami"


@pytest.mark.parametrize("base_id", ["", "tblAAAAAAAAAAAAAA", "app/../x", "app AAA"])
def test_a_base_that_is_none_is_refused(base_id: str) -> None:
    with pytest.raises(ValidationError):
        AirtableSettings(base_id=base_id)


def test_it_stays_below_airtables_rate_unless_told_otherwise() -> None:
    assert AirtableProvider("airtable", AirtableSettings(base_id=BASE)).limits == {"second": 4}
