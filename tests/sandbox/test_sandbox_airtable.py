from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from aicmo.sandbox import RunningSandbox
from aicmo.sandbox.known import what_is_known

Ask = Callable[..., httpx.Response]

BASE = "/appSandboxAAAAAAA"
CONTACTS = f"{BASE}/Contacts"
SEEDED = [known.person.email for known in what_is_known(1)][:120]


@pytest.fixture
def calm(sandbox: RunningSandbox) -> None:
    """Out of the way of the rate limit, which has tests of its own."""
    sandbox.set_account("airtable", requests_per_second=10_000)


def kind_of(answer: httpx.Response) -> str:
    error = answer.json().get("error") or answer.json()["errors"][0]
    return str(error) if isinstance(error, str) else str(error.get("type") or error["error"])


def pages(ask: Ask, **params: Any) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    offset = ""
    while True:
        answer = ask("airtable", "GET", CONTACTS, params=params | ({"offset": offset} if offset else {})).json()
        found.append(answer["records"])
        offset = answer.get("offset", "")
        if not offset:
            return found


def upsert(ask: Ask, *records: dict[str, Any], merge_on: Any = ("AICMO ID",), **more: Any) -> httpx.Response:
    body = {"performUpsert": {"fieldsToMergeOn": merge_on}, "records": [{"fields": record} for record in records]}
    return ask("airtable", "PATCH", CONTACTS, json=body | more)


def test_whoami_needs_a_token_and_no_scope(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", scopes="")
    assert ask("airtable", "GET", "/meta/whoami").json() == {"id": "usrL2PNC5o3H4lAAA"}

    missing, wrong = ask("airtable", "GET", "/meta/whoami", key=""), ask("airtable", "GET", "/meta/whoami", key="patX")
    assert [(answer.status_code, kind_of(answer)) for answer in (missing, wrong)] == [
        (401, "AUTHENTICATION_REQUIRED"),
        (401, "UNAUTHORIZED"),
    ]


def test_a_scope_that_is_missing_and_a_base_that_is_wrong_are_both_a_403(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", scopes="data.records:read")

    assert ask("airtable", "GET", CONTACTS).status_code == 200
    refused = [
        upsert(ask, {"AICMO ID": "1"}),
        ask("airtable", "GET", f"/meta/bases{BASE}/tables"),
        ask("airtable", "GET", "/appOtherAAAAAAAAA/Contacts"),
        ask("airtable", "GET", f"{BASE}/Leads"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 4
    assert [kind_of(answer) for answer in refused] == ["INVALID_PERMISSIONS"] * 2 + [
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"
    ] * 2


def test_a_path_that_is_none_is_a_404_with_a_bare_word(ask: Ask) -> None:
    answer = ask("airtable", "GET", "/meta/nothing")

    assert (answer.status_code, answer.json()) == (404, {"error": "NOT_FOUND"})


def test_the_schema_names_types_and_choices(ask: Ask) -> None:
    assert ask("airtable", "GET", "/meta/bases").json()["bases"][0]["id"] == BASE[1:]
    tables = ask("airtable", "GET", f"/meta/bases{BASE}/tables").json()["tables"]
    fields = {field["name"]: field for field in tables[0]["fields"]}

    assert [table["name"] for table in tables] == ["Contacts", "Interactions"]
    assert (fields["Email"]["type"], fields["AICMO ID"]["id"]) == ("email", tables[0]["primaryFieldId"])
    assert "New" in [choice["name"] for choice in fields["Stage"]["options"]["choices"]]


def test_everybody_is_there_once_over_all_pages(ask: Ask, calm: None) -> None:
    found = pages(ask)

    assert [len(page) for page in found] == [100, 20]
    assert sorted(record["fields"]["Email"] for page in found for record in page) == sorted(SEEDED)
    assert [len(page) for page in pages(ask, pageSize=50, maxRecords=60)] == [50, 10]


def test_empty_cells_are_absent(ask: Ask, calm: None) -> None:
    cells = [record["fields"] for page in pages(ask) for record in page]

    assert any("Tags" not in each for each in cells) and any("Job title" not in each for each in cells)
    assert not any(value in ("", [], None) for each in cells for value in each.values())


def test_the_order_is_nobodys_unless_it_is_asked_for(ask: Ask, calm: None) -> None:
    def emails(**params: Any) -> list[str]:
        return [record["fields"]["Email"] for page in pages(ask, **params) for record in page]

    assert emails() != SEEDED
    assert emails(**{"sort[0][field]": "Email"}) == sorted(SEEDED)
    assert emails(**{"sort[0][field]": "Email", "sort[0][direction]": "desc"}) == sorted(SEEDED, reverse=True)


def test_an_offset_that_is_mangled_or_old_is_a_422(ask: Ask, sandbox: RunningSandbox, calm: None) -> None:
    offset = ask("airtable", "GET", CONTACTS).json()["offset"]
    assert offset.startswith("itr") and "/rec" in offset

    mangled = ask("airtable", "GET", CONTACTS, params={"offset": offset + "x"})
    sandbox.set_account("airtable", offset_lives_s=0)
    old = ask("airtable", "GET", CONTACTS, params={"offset": offset})
    assert (mangled.status_code, kind_of(mangled)) == (422, "INVALID_OFFSET_VALUE")
    assert (old.status_code, kind_of(old)) == (422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE")


@pytest.mark.parametrize("size", ["0", "101", "x"])
def test_a_page_has_one_to_a_hundred_records(ask: Ask, size: str) -> None:
    assert ask("airtable", "GET", CONTACTS, params={"pageSize": size}).status_code == 422


def test_a_list_can_be_posted_with_the_same_names(ask: Ask, calm: None) -> None:
    asked = {"fields": ["Email"], "sort": [{"field": "Email"}], "pageSize": 70}
    first = ask("airtable", "POST", f"{CONTACTS}/listRecords", json=asked).json()
    second = ask("airtable", "POST", f"{CONTACTS}/listRecords", json=asked | {"offset": first["offset"]}).json()

    records = first["records"] + second["records"]
    assert [record["fields"] for record in records] == [{"Email": email} for email in sorted(SEEDED)]
    assert "offset" not in second


def test_a_url_that_is_too_long_is_refused(ask: Ask) -> None:
    assert ask("airtable", "GET", CONTACTS, params={"view": "x" * 16_000}).status_code == 414


def test_a_filter_is_applied_and_a_bad_one_named(ask: Ask, calm: None) -> None:
    def emails(formula: str) -> list[str]:
        return [r["fields"]["Email"] for page in pages(ask, filterByFormula=formula) for r in page]

    assert emails(f"LOWER({{Email}})='{SEEDED[0]}'") == [SEEDED[0]]
    assert sorted(emails(f"OR({{Email}}='{SEEDED[1]}',{{Email}}='{SEEDED[2]}')")) == sorted(SEEDED[1:3])
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")
    assert emails(f"IS_AFTER(LAST_MODIFIED_TIME(), '{soon}')") == []
    assert len(emails(f"LAST_MODIFIED_TIME() < DATETIME_PARSE('{soon}')")) == 120
    for bad in ("{Email", "NO_SUCH(1)", "{Nothing}='x'", "1 +", "("):
        answer = ask("airtable", "GET", CONTACTS, params={"filterByFormula": bad})
        assert (answer.status_code, kind_of(answer)) == (422, "INVALID_FILTER_BY_FORMULA")


def test_what_changed_is_found_by_its_time(ask: Ask, calm: None) -> None:
    before = datetime.now(UTC).isoformat()
    [created] = upsert(ask, {"AICMO ID": "1", "Email": "new@x.example"}).json()["createdRecords"]

    [[found]] = pages(ask, filterByFormula=f"IS_AFTER(LAST_MODIFIED_TIME(), '{before}')")
    assert found["id"] == created
    assert found["fields"]["Last modified"] >= before[:23]


def test_an_upsert_creates_then_updates_and_leaves_other_fields_alone(
    ask: Ask, sandbox: RunningSandbox, calm: None
) -> None:
    first = upsert(ask, {"AICMO ID": "1", "City": "Lyon"}).json()
    second = upsert(ask, {"AICMO ID": "1", "Company": "Atelier"}, {"AICMO ID": "2"}).json()

    assert (len(first["createdRecords"]), first["updatedRecords"]) == (1, [])
    assert second["updatedRecords"] == first["createdRecords"]
    assert [record["fields"].get("City") for record in second["records"]] == ["Lyon", None]
    assert second["createdRecords"] == [second["records"][1]["id"]]
    assert [(row.effect, len(row.on)) for row in sandbox.http_log()] == [("upserted", 1), ("upserted", 2)]


@pytest.mark.parametrize(
    ("merge_on", "status"),
    [
        (["AICMO ID"], 200),
        (["AICMO ID", "City", "Company"], 200),
        ([], 422),
        (["AICMO ID", "City", "Company", "Notes"], 422),
        (["Email"], 422),
        (["LinkedIn"], 422),
        (["Last modified"], 422),
        (["Nothing"], 422),
        ("AICMO ID", 422),
    ],
)
def test_one_to_three_fields_of_the_right_type_can_be_merged_on(
    ask: Ask, calm: None, merge_on: Any, status: int
) -> None:
    cells = {"AICMO ID": "1", "City": "Lyon", "Company": "Atelier", "Email": "a@x.example", "Notes": "n"}

    assert upsert(ask, cells | {"LinkedIn": "https://x.example"}, merge_on=merge_on).status_code == status


def test_two_records_with_one_merge_value_fail_the_whole_request(ask: Ask, calm: None) -> None:
    twins = {"records": [{"fields": {"AICMO ID": "1"}}, {"fields": {"AICMO ID": "1"}}]}
    assert ask("airtable", "POST", CONTACTS, json=twins).status_code == 200

    answer = upsert(ask, {"AICMO ID": "new"}, {"AICMO ID": "1"})

    assert answer.status_code == 422
    assert pages(ask, filterByFormula="{AICMO ID}='new'") == [[]]


def test_a_record_without_its_merge_value_is_refused(ask: Ask, calm: None) -> None:
    assert upsert(ask, {"City": "Lyon"}).status_code == 422


@pytest.mark.parametrize("count", [0, 11])
def test_a_write_has_one_to_ten_records(ask: Ask, calm: None, count: int) -> None:
    records = [{"fields": {"AICMO ID": str(number)}} for number in range(count)]

    assert ask("airtable", "POST", CONTACTS, json={"records": records}).status_code == 422
    assert upsert(ask, *(record["fields"] for record in records)).status_code == 422


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ({"Colour": "red"}, "UNKNOWN_FIELD_NAME"),
        ({"Score": "12"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Email": 12}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Last modified": "2026-01-01"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Last contacted": "yesterday"}, "INVALID_VALUE_FOR_COLUMN"),
        ({"Stage": "Brand new"}, "INVALID_MULTIPLE_CHOICE_OPTIONS"),
        ({"Tags": "vip"}, "INVALID_VALUE_FOR_COLUMN"),
        ("x", "INVALID_REQUEST_UNKNOWN"),
    ],
    ids=repr,
)
def test_a_value_that_does_not_fit_its_field_is_a_422(ask: Ask, calm: None, cells: Any, kind: str) -> None:
    answer = ask("airtable", "POST", CONTACTS, json={"records": [{"fields": cells}]})

    assert (answer.status_code, kind_of(answer)) == (422, kind)


def test_typecast_converts_strings_and_makes_options(ask: Ask, calm: None) -> None:
    cells = {"AICMO ID": 7, "Score": "12", "Stage": "Brand new", "Tags": "vip, odd"}
    [record] = upsert(ask, cells, typecast=True).json()["records"]
    del record["fields"]["Last modified"]

    assert record["fields"] == {"AICMO ID": "7", "Score": 12, "Stage": "Brand new", "Tags": ["vip", "odd"]}
    assert upsert(ask, {"AICMO ID": "8", "Stage": "Brand new"}).status_code == 200


def test_a_record_can_be_read_changed_and_deleted_by_its_id(ask: Ask, calm: None) -> None:
    record = ask("airtable", "POST", CONTACTS, json={"fields": {"City": "Lyon", "Company": "A"}}).json()
    one = f"{CONTACTS}/{record['id']}"

    assert ask("airtable", "PATCH", one, json={"fields": {"City": "Rome"}}).json()["fields"]["Company"] == "A"
    assert "Company" not in ask("airtable", "PUT", one, json={"fields": {"City": "Rome"}}).json()["fields"]
    assert ask("airtable", "GET", one).json()["fields"]["City"] == "Rome"
    deleted = ask("airtable", "DELETE", CONTACTS, params={"records[]": [record["id"]]})
    assert deleted.json() == {"records": [{"id": record["id"], "deleted": True}]}
    assert ask("airtable", "GET", one).status_code == 403
    gone = {"performUpsert": {"fieldsToMergeOn": ["City"]}, "records": [{"id": record["id"], "fields": {}}]}
    assert ask("airtable", "PATCH", CONTACTS, json=gone).status_code == 403  # It is not created anew.


def test_fields_may_go_by_their_ids_and_a_table_by_its_own(ask: Ask, calm: None) -> None:
    table = ask("airtable", "GET", f"/meta/bases{BASE}/tables").json()["tables"][0]
    email = next(field["id"] for field in table["fields"] if field["name"] == "Email")
    params = {"returnFieldsByFieldId": "true", "fields[]": email, "filterByFormula": f"{{{email}}}='{SEEDED[0]}'"}

    answer = ask("airtable", "GET", f"{BASE}/{table['id']}", params=params).json()
    assert [record["fields"] for record in answer["records"]] == [{email: SEEDED[0]}]


def test_a_slash_in_a_table_name_is_not_one_in_the_path(ask: Ask) -> None:
    assert kind_of(ask("airtable", "GET", f"{BASE}/{quote('Con/tacts', safe='')}")).endswith("MODEL_NOT_FOUND")
    assert ask("airtable", "GET", f"{BASE}/{quote('Contacts', safe='')}").status_code == 200


def test_a_body_that_is_no_json_is_a_400(ask: Ask) -> None:
    assert ask("airtable", "PATCH", CONTACTS, content="{").status_code == 400


def test_too_fast_shuts_the_base_for_a_while_and_meta_never(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", requests_per_second=2, penalty_s=3600)
    answers = [ask("airtable", "GET", CONTACTS, params={"pageSize": 1}) for _ in range(9)]
    statuses = [answer.status_code for answer in answers]

    assert statuses[:2] == [200, 200] and statuses[-1] == 429
    assert statuses == sorted(statuses)
    assert answers[-1].json() == {
        "error": {"type": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded. Please try again later"}
    }
    assert "retry-after" not in answers[-1].headers
    assert ask("airtable", "GET", "/meta/whoami").status_code == 200


def test_a_429_of_the_other_kind_means_the_month_is_used_up(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", calls_left=1)
    first, second = upsert(ask, {"AICMO ID": "1"}), upsert(ask, {"AICMO ID": "2"})

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.json()["errors"][0]["error"] == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
    assert ask("airtable", "GET", "/meta/whoami").status_code == 200
    assert [row.effect for row in sandbox.http_log()] == ["upserted", "", ""]


def test_errors_may_come_as_a_list(ask: Ask, sandbox: RunningSandbox) -> None:
    sandbox.set_account("airtable", errors_list=True)

    [error] = ask("airtable", "GET", f"{BASE}/Leads").json()["errors"]
    assert error["error"] == "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"
