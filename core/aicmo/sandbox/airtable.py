"""Airtable as its documentation, and those who were surprised by it, describe it: one base with two tables.

Its traps are the point: empty cells are absent, the order is nobody's, a wrong base is a 403 that might be a missing
permission, one 429 means "too fast" and shuts the base for half a minute while the other means "the month is used up",
an e-mail column cannot be merged on, and two records with one merge value fail the whole request.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from aicmo.clock import Clock
from aicmo.sandbox import KEYS
from aicmo.sandbox.airtable_tables import (
    Problem,
    Row,
    Table,
    field_name,
    fitted,
    invalid,
    merge_fields,
    schema,
    shown,
    starting_tables,
    without_blanks,
)
from aicmo.sandbox.formula import FormulaError, compile_formula
from aicmo.sandbox.known import what_is_known
from aicmo.sandbox.providers import Provider, Refusal, Window, json_object, note

BASE = "appSandboxAAAAAAA"
SEEDED = 120
"""How many of the sample people are in Contacts at the start."""
_WRITE_BATCH = 10
_PAGE = 100
_MAX_URL = 16_000


@dataclass(frozen=True, slots=True)
class Account:
    """A personal access token, and the base it opens."""

    scopes: str = "data.records:read data.records:write schema.bases:read"
    requests_per_second: int = 5
    """For the base, everyone together."""
    penalty_s: float = 30.0
    """How long the base answers 429 once that was too much."""
    calls_left: int | None = None
    """Of the month; None: no limit. ``/meta`` does not count."""
    errors_list: bool = False
    """Errors come as ``{"errors": […]}``, which some have seen, rather than ``{"error": …}``."""
    offset_lives_s: float = 300.0
    """How long a page may be waited with."""


class Airtable(Provider):
    path = "/v0"

    def __init__(self, seed: int, clock: Clock) -> None:
        self.account = Account()
        self._clock = clock
        self._dice = random.Random(f"airtable {seed}")
        self._second = Window(1.0, clock)
        self._shut_until = 0.0
        self._pages: dict[str, tuple[float, list[str]]] = {}
        """By offset: when it was given out, and the ids that are still to come."""
        self._serial = itertools.count(1)
        self._tables = starting_tables()
        self._seed(seed)

    def _seed(self, seed: int) -> None:
        yesterday = self._clock.now() - timedelta(days=1)
        for known in what_is_known(seed)[:SEEDED]:
            person = known.person
            cells = {
                "Email": person.email,
                "First name": person.first_name,
                "Last name": person.last_name,
                "Company": person.company,
                "Job title": person.title,
                "City": person.city,
                "Tags": list(person.tags),
                "Stage": "New",
            }
            self._add(self._tables[0], cells, yesterday + timedelta(seconds=known.number))

    def routes(self) -> Sequence[Route]:
        return [Route("/{path:path}", self._dispatch, methods=["GET", "POST", "PATCH", "PUT", "DELETE"])]

    async def _dispatch(self, request: Request) -> Response:
        # Of the raw path: a slash within the name of a table is not one between the parts.
        parts = [unquote(part) for part in request.scope["raw_path"].decode("ascii").split("/")[1:]]
        body = await json_object(request)
        if len(str(request.url)) > _MAX_URL:
            raise Refusal(414, "Request-URI Too Large")
        try:
            answer = self._answer(request, parts, body)
        except Problem as problem:
            raise Refusal(problem.status, self._error_body(problem)) from None
        return JSONResponse(answer)

    def _answer(self, request: Request, parts: list[str], body: dict[str, Any] | None) -> Any:
        self._authenticate(request)
        match request.method, parts:
            case "GET", ["v0", "meta", "whoami"]:
                return {"id": "usrL2PNC5o3H4lAAA"}
            case "GET", ["v0", "meta", "bases"]:
                self._allow("schema.bases:read")
                return {"bases": [{"id": BASE, "name": "Sandbox", "permissionLevel": "create"}]}
            case "GET", ["v0", "meta", "bases", base, "tables"]:
                self._allow("schema.bases:read")
                return {"tables": [schema(table) for table in self._open(base)]}
            case _, ["v0", base, name, *rest] if base != "meta":
                return self._records(request, self._table(base, name), rest, body)
        raise Problem(404, "NOT_FOUND")

    def _records(self, request: Request, table: Table, rest: list[str], body: dict[str, Any] | None) -> Any:
        reading = request.method == "GET" or rest == ["listRecords"]
        self._allow("data.records:read" if reading else "data.records:write")
        self._take_turn()
        if body is None:
            raise Problem(400, "INVALID_REQUEST_BODY", "Could not parse request body")
        match request.method, rest:
            case "GET", []:
                return self._list(table, _query(request))
            case "POST", ["listRecords"]:
                return self._list(table, body)
            case "GET", [record_id]:
                return shown(table, self._row(table, record_id))
            case "POST", []:
                return self._create(request, table, body)
            case (("PATCH" | "PUT"), []):
                return self._update(request, table, body)
            case (("PATCH" | "PUT"), [record_id]):
                one = {**body, "records": [{"id": record_id, "fields": body.get("fields")}]}
                return self._update(request, table, one)["records"][0]
            case "DELETE", []:
                return self._delete(request, table, request.query_params.getlist("records[]"))
        raise Problem(404, "NOT_FOUND")

    # -- who may ask, and how often ----------------------------------------------------------------------------

    def _authenticate(self, request: Request) -> None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(401, "AUTHENTICATION_REQUIRED", "Authentication required")
        if token != KEYS["airtable"]:
            raise Problem(401, "UNAUTHORIZED", "Invalid authentication token")

    def _allow(self, scope: str) -> None:
        if scope not in self.account.scopes.split():
            raise Problem(403, "INVALID_PERMISSIONS", "You are not permitted to perform this operation")

    def _open(self, base: str) -> list[Table]:
        if base != BASE:
            raise _no_such_model()
        return self._tables

    def _table(self, base: str, name: str) -> Table:
        for table in self._open(base):
            if name in (table.id, table.name):
                return table
        raise _no_such_model()

    def _take_turn(self) -> None:
        now = self._clock.monotonic()
        if now >= self._shut_until and self._second.used >= self.account.requests_per_second:
            self._shut_until = now + self.account.penalty_s
        if now < self._shut_until:
            raise Problem(429, "RATE_LIMIT_REACHED", "Rate limit exceeded. Please try again later")
        self._second.take()
        if self.account.calls_left is not None:
            if self.account.calls_left < 1:
                text = "You have exceeded the API billing plan limit for this workspace"
                raise Problem(429, "PUBLIC_API_BILLING_LIMIT_EXCEEDED", text)
            self.account = replace(self.account, calls_left=self.account.calls_left - 1)

    def _error_body(self, problem: Problem) -> Any:
        if self.account.errors_list or problem.kind == "PUBLIC_API_BILLING_LIMIT_EXCEEDED":
            return {"errors": [{"error": problem.kind, "message": problem.message}]}
        if not problem.message:
            return {"error": problem.kind}
        return {"error": {"type": problem.kind, "message": problem.message}}

    # -- reading -----------------------------------------------------------------------------------------------

    def _list(self, table: Table, asked: Mapping[str, Any]) -> Any:
        page_size = _whole(asked.get("pageSize", _PAGE), "pageSize", _PAGE)
        if offset := asked.get("offset"):
            waiting = self._resume(str(offset))
        else:
            waiting = self._matching(table, asked)
        page, later = waiting[:page_size], waiting[page_size:]
        wanted = asked.get("fields")
        if wanted is not None and not isinstance(wanted, list):
            raise invalid("fields must be an array of names")
        by_id = asked.get("returnFieldsByFieldId") in (True, "true")
        answer: dict[str, Any] = {
            "records": [shown(table, table.rows[row], wanted, by_id) for row in page if row in table.rows]
        }
        if later:
            offset = f"itr{self._code()}/{page[-1]}"
            self._pages[offset] = (self._clock.monotonic(), later)
            answer["offset"] = offset
        return answer

    def _resume(self, offset: str) -> list[str]:
        if offset not in self._pages:
            raise Problem(422, "INVALID_OFFSET_VALUE", "The value of offset is not valid")
        given_at, waiting = self._pages[offset]
        if self._clock.monotonic() - given_at > self.account.offset_lives_s:
            raise Problem(422, "LIST_RECORDS_ITERATOR_NOT_AVAILABLE", "The iterator is no longer available")
        return waiting

    def _matching(self, table: Table, asked: Mapping[str, Any]) -> list[str]:
        rows = sorted(table.rows.values(), key=lambda row: row.id)  # Ids are drawn by lot: the order is nobody's.
        if formula := asked.get("filterByFormula"):
            try:
                passes = compile_formula(str(formula), table.names())
            except (FormulaError, RecursionError) as error:
                text = f"The formula for filtering records is invalid: {error}"
                raise Problem(422, "INVALID_FILTER_BY_FORMULA", text) from None
            rows = [row for row in rows if passes(row)]
        orders = asked.get("sort") or []
        if not isinstance(orders, list) or not all(isinstance(order, dict) for order in orders):
            raise invalid("sort must be an array of objects")
        for order in reversed(orders):
            column = field_name(table, order.get("field"))
            rows.sort(key=partial(_sort_key, column), reverse=order.get("direction") == "desc")
        limit = _whole(asked["maxRecords"], "maxRecords", None) if "maxRecords" in asked else None
        return [row.id for row in rows[:limit]]

    # -- writing -----------------------------------------------------------------------------------------------

    def _create(self, request: Request, table: Table, body: Mapping[str, Any]) -> Any:
        single = "records" not in body
        records = _batch({"records": [{"fields": body.get("fields")}]} if single else body)
        cells = [self._cells(table, record, body) for record in records]
        rows = [self._add(table, each, self._clock.now()) for each in cells]
        note(request, "created", [row.id for row in rows])
        by_id = body.get("returnFieldsByFieldId") is True
        created = [shown(table, row, by_id=by_id) for row in rows]
        return created[0] if single else {"records": created}

    def _update(self, request: Request, table: Table, body: Mapping[str, Any]) -> Any:
        """Update or upsert. Everything is checked before anything is changed."""
        upsert = body.get("performUpsert")
        merge_on = merge_fields(table, upsert) if upsert is not None else []
        planned: list[tuple[Row | None, dict[str, Any]]] = []
        for record in _batch(body):
            cells = self._cells(table, record, body)
            if "id" in record:
                planned.append((self._row(table, str(record["id"])), cells))
            elif merge_on:
                planned.append((_same(table, merge_on, cells), cells))
            else:
                raise invalid("Each record must have an id")
        created, updated, rows = [], [], []
        for row, cells in planned:
            if row is None:
                row = self._add(table, cells, self._clock.now())
                created.append(row.id)
            else:
                row.cells = without_blanks(cells if request.method == "PUT" else row.cells | cells)
                row.modified_at = self._clock.now()
                updated.append(row.id)
            rows.append(row)
        note(request, "upserted" if merge_on else "updated", [row.id for row in rows])
        by_id = body.get("returnFieldsByFieldId") is True
        answer: dict[str, Any] = {"records": [shown(table, row, by_id=by_id) for row in rows]}
        return answer | ({"createdRecords": created, "updatedRecords": updated} if merge_on else {})

    def _delete(self, request: Request, table: Table, ids: Sequence[str]) -> Any:
        if not 0 < len(ids) <= _WRITE_BATCH:
            raise invalid(f"One to {_WRITE_BATCH} records can be deleted at a time")
        rows = [self._row(table, record_id) for record_id in ids]
        for row in rows:
            table.rows.pop(row.id, None)
        note(request, "deleted", ids)
        return {"records": [{"id": row.id, "deleted": True} for row in rows]}

    def _row(self, table: Table, record_id: str) -> Row:
        if record_id not in table.rows:
            raise _no_such_model()
        return table.rows[record_id]

    def _add(self, table: Table, cells: Mapping[str, Any], at: datetime) -> Row:
        row = Row(f"rec{self._code()}", at, at, without_blanks(cells))
        table.rows[row.id] = row
        return row

    def _code(self) -> str:
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        return "".join(self._dice.choices(letters, k=10)) + f"{next(self._serial):04x}"

    def _cells(self, table: Table, record: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
        given = record.get("fields")
        if not isinstance(given, dict):
            raise invalid("Could not find field 'fields' in the request body")
        typecast = body.get("typecast") is True
        cells = {}
        for name, value in given.items():
            name = field_name(table, name)
            cells[name] = None if value is None else fitted(table, name, value, typecast)
        return cells


def _no_such_model() -> Problem:
    return Problem(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user and your token have "
        "the required permissions, and that the model names and/or ids are correct.",
    )


def _query(request: Request) -> dict[str, Any]:
    """The parameters of a list in the form that ``listRecords`` takes them in."""
    query = request.query_params
    asked: dict[str, Any] = {name: query[name] for name in query if "[" not in name}
    if fields := query.getlist("fields[]"):
        asked["fields"] = fields
    orders = [
        {"field": query[f"sort[{n}][field]"], "direction": query.get(f"sort[{n}][direction]")}
        for n in range(10)
        if f"sort[{n}][field]" in query
    ]
    return asked | ({"sort": orders} if orders else {})


def _sort_key(column: str, row: Row) -> str:
    return str(row.cells.get(column, ""))


def _whole(value: object, name: str, most: int | None) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) < 1 or (most and int(text) > most):
        raise invalid(f"{name} is not valid")
    return int(text)


def _batch(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records")
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise invalid("records must be an array of objects")
    if not 0 < len(records) <= _WRITE_BATCH:
        raise invalid(f"records must have 1 to {_WRITE_BATCH} items")
    return records


def _same(table: Table, merge_on: Sequence[str], cells: Mapping[str, Any]) -> Row | None:
    """The record that an upsert is for; None when there is none yet."""
    if missing := [name for name in merge_on if cells.get(name) in (None, "", [])]:
        raise invalid(f"Each record must have a value for {missing[0]}")
    found = [row for row in table.rows.values() if all(row.cells.get(name) == cells[name] for name in merge_on)]
    if len(found) > 1:
        raise invalid("More than one record matches the fields to merge on")
    return found[0] if found else None
