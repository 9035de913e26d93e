"""Airtable as a CRM: two tables of one base, read by the page and written by upsert, ten rows at a time.

An upsert finds its rows by one to three merge columns, so writing twice is writing once: a lost answer is unknown
(``Applied.UNKNOWN``), and may be repeated here, never elsewhere. Rows without their merge columns, or two with the
same, are refused before anything is asked, because Airtable would refuse them after having written others. A row that
is known is changed by its id, so one that was deleted there does not come back. Its 429 means "wait thirty seconds" or
"the month is used up"; only the code tells which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import quote as percent

from pydantic import AfterValidator, BeforeValidator, Field

from aicmo.clock import parse_rfc3339, rfc3339
from aicmo.gateways.attempt import Answer, Applied, Attempt, Outcome
from aicmo.gateways.http import HttpProvider
from aicmo.gateways.http_answer import Document, Effect, Rule, Text
from aicmo.gateways.http_settings import BaseAddress, HttpSettings
from aicmo.gateways.records import Cell, Cells, CrmColumn, CrmRecord, Holds, RecordPage, Table, Upserted
from aicmo.gateways.settings import Limits
from aicmo.text import plain, shown

PENALTY_S = 30.0
"""For so long Airtable refuses a base that was asked too often (its support page on call limits)."""
MOST_MERGE_FIELDS = 3
LONGEST_CELL = 100_000
"""Characters in a long text, by Airtable's own limit."""
_COLUMN_NAME = re.compile(r"[^{}\\\x00-\x1f\x7f]+")


def _column(value: str) -> str:
    """A column's name as it can stand in a formula, which has no working escape for braces."""
    if not _COLUMN_NAME.fullmatch(value):
        raise ValueError(r"must be a name without { } and \, or an id such as fldXXXXXXXXXXXXXX")
    return value


Column = Annotated[str, AfterValidator(_column)]


class AirtableSettings(HttpSettings):
    """A block ``[providers.NAME]`` of kind ``airtable``."""

    kind: Literal["airtable"] = "airtable"
    base_url: BaseAddress = "https://api.airtable.com/v0"
    base_id: str = Field(pattern=r"^app[A-Za-z0-9]{1,64}$")
    contacts_table: str = Field(default="Contacts", min_length=1, max_length=255)
    interactions_table: str = Field(default="Interactions", min_length=1, max_length=255)
    """Names or ids (``tbl…``) of the two tables."""
    merge_field: Column = "AICMO ID"
    """The column that says which row is whose. A text, number, select or date; Airtable takes no e-mail column."""
    fields: dict[Column, str] = {}
    """What further columns of Contacts are: name -> field, a custom one among them; ``-`` leaves one out."""
    typecast: bool = False
    """Let Airtable turn text into whatever a column holds, and add options to a select."""
    limits: Limits = Limits(second=4)
    """Airtable takes 5 a second per base, from everybody together."""


_NOT_THERE = (
    "Airtable knows no such base or table, or the token may not see it; "
    "check base_id, the tables' names, and the token's scopes and bases."
)
RULES: tuple[Rule, ...] = (
    Rule(
        "429",
        "BILLING_LIMIT",
        Outcome.QUOTA,
        "The month's Airtable calls are used up; upgrade, or wait for the next month.",
    ),
    Rule("429", "", Outcome.RATE_LIMITED, "Airtable was asked too often.", least_wait_s=PENALTY_S),
    Rule("401", "", Outcome.AUTH, "Airtable does not accept the token; set the right one."),
    Rule("403", "MODEL_NOT_FOUND", Outcome.AUTH, _NOT_THERE),
    Rule(
        "403",
        "",
        Outcome.AUTH,
        "Airtable does not allow this to the token; look at its scopes and your role in the base.",
    ),
    Rule("404", "", Outcome.AUTH, _NOT_THERE),
    Rule(
        "422",
        "LIST_RECORDS_ITERATOR_NOT_AVAILABLE|INVALID_OFFSET_VALUE",
        Outcome.INPUT,
        "Airtable has forgotten how far it had read; begin again with the first page.",
    ),
    Rule("400|413|422", "", Outcome.INPUT, "Airtable cannot do anything with the request."),
    Rule("503", "", Outcome.TRANSIENT, "Airtable is busy."),
)


_HOLDS: Mapping[str, Holds] = {
    **dict.fromkeys(("singleLineText", "multilineText", "richText", "email", "url", "phoneNumber"), "text"),
    **dict.fromkeys(("number", "currency", "percent", "rating", "duration"), "number"),
    "checkbox": "box",
    "date": "date",
    "dateTime": "time",
    "singleSelect": "choice",
    "multipleSelects": "choices",
    "lastModifiedTime": "modified",
}
"""What a type of column holds; every other one is computed, or richer than what we write."""
_MERGEABLE = ("number", "singleLineText", "multilineText", "singleSelect", "multipleSelects", "date")
_GONE = re.compile(r"^404|^403 .*MODEL_NOT_FOUND|^422 ROW_DOES_NOT_EXIST")


def literal(value: str) -> str:
    """``value`` as a string in a formula. Control characters are dropped: whether Airtable takes them nobody says."""
    bare = re.sub(r"[\x00-\x1f\x7f]", "", plain(value))
    return "'" + bare.replace("\\", "\\\\").replace("'", "\\'") + "'"


def formula(since: datetime | None, where: Mapping[str, str]) -> str:
    """Rows changed after ``since`` whose columns hold exactly the texts of ``where``; empty when that is all rows.

    Raises ``ValueError`` for a column that cannot be named in a formula.
    """
    parts = [f"{{{_column(column)}}}&''={literal(value)}" for column, value in where.items()]
    if since is not None:
        parts.append(f"IS_AFTER(LAST_MODIFIED_TIME(),DATETIME_PARSE({literal(rfc3339(since))}))")
    return f"AND({','.join(parts)})" if len(parts) > 1 else "".join(parts)


def _cell(value: object) -> Cell | None:
    """A cell as it can be kept: text, number or box as it is; of what is richer, its names."""
    if isinstance(value, str):
        return plain(value, limit=LONGEST_CELL)
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        name = next(
            (value[key] for key in ("name", "email", "text", "url", "id") if isinstance(value.get(key), str)), None
        )
        return None if name is None else plain(name, limit=LONGEST_CELL)
    if isinstance(value, list):
        return tuple(str(item) for item in map(_cell, value) if item is not None)
    return None


def _cells(value: object) -> object:
    found = {plain(str(name)): _cell(cell) for name, cell in value.items()} if isinstance(value, dict) else {}
    return {name: cell for name, cell in found.items() if cell is not None}


class _User(Document):
    id: Text = Field(min_length=1)


class _Row(Document):
    id: Text = Field(min_length=1)
    createdTime: Text = ""
    fields: Annotated[dict[str, Any], BeforeValidator(_cells)] = {}


class _Page(Document):
    records: list[_Row]
    offset: str = ""


class _Written(Document):
    records: list[_Row]
    createdRecords: list[Text] = []


class _Choice(Document):
    name: Text


class _Options(Document):
    choices: list[_Choice] = []


class _Field(Document):
    id: Text
    name: Text = Field(min_length=1)
    type: Text
    options: _Options = _Options()


class _Table(Document):
    id: Text
    name: Text
    fields: list[_Field]


class _Schema(Document):
    tables: list[_Table]


class _Changed(Document):
    records: list[_Row]


class AirtableProvider(HttpProvider[AirtableSettings]):
    """One base, by a token that may read and write its records."""

    kind: ClassVar[str] = "airtable"
    capabilities: ClassVar[frozenset[str]] = frozenset({"crm_sync"})
    Settings: ClassVar[type[AirtableSettings]] = AirtableSettings
    label: ClassVar[str] = "Airtable"
    rules: ClassVar[tuple[Rule, ...]] = RULES
    batch_size: ClassVar[int] = 10
    page_size: ClassVar[int] = 100

    @property
    def merge_field(self) -> str:
        return self.settings.merge_field

    @property
    def fields(self) -> Mapping[str, str]:
        return self.settings.fields

    @property
    def address(self) -> str:
        return self.settings.base_url

    def credentials(self, key: str, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    def words(self, document: Any) -> tuple[str, str]:
        errors = document.get("errors")
        error = document.get("error") or (errors[0] if errors else "")
        if isinstance(error, str):
            return error, ""
        return str(error.get("type") or error.get("error") or ""), str(error.get("message") or "")

    async def check(self) -> Attempt:
        """Whether the token is good. Says nothing of the base, nor of the month's calls: this one is always free."""
        return (await self.ask("GET", "/meta/whoami", _User)).attempt

    async def columns(self, table: Table) -> Answer[tuple[CrmColumn, ...]]:
        """The columns of a table, in their order; ``MISS`` when the base has none of that name. Costs no monthly call.

        Needs the scope ``schema.bases:read``.
        """
        answer = await self.ask("GET", f"/meta/bases/{self.settings.base_id}/tables", _Schema)
        if answer.value is None:
            return Answer(answer.attempt)
        wanted = self._table(table)
        found = next((each for each in answer.value.tables if wanted in (each.id, each.name)), None)
        if found is None:
            detail = f"The base has no table {shown(wanted)}."
            return Answer(replace(answer.attempt, outcome=Outcome.MISS, detail=detail))
        return Answer(answer.attempt, tuple(map(self._column, found.fields)))

    def _column(self, field: _Field) -> CrmColumn:
        options = () if self.settings.typecast else tuple(each.name for each in field.options.choices)
        can_merge = field.type in _MERGEABLE
        return CrmColumn(field.id, field.name, _HOLDS.get(field.type, "computed"), options, can_merge)

    async def list_records(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        where: Mapping[str, str] | None = None,
        page: str = "",
        page_size: int = 100,
        columns: Sequence[str] = (),
    ) -> Answer[RecordPage]:
        """One page of rows: those changed after ``since``, and whose columns hold exactly the texts of ``where``.

        Of each only the ``columns``, if any are named. The order is Airtable's own. Hand the ``next_page`` of one page,
        and else the same arguments, to get the next. An ``INPUT`` for a ``page`` means that Airtable has forgotten it:
        begin again, and count no row twice.
        """
        params: dict[str, str | Sequence[str]] = {"pageSize": str(min(max(page_size, 1), self.page_size))}
        if columns:
            params["fields[]"] = columns
        if condition := formula(since, where or {}):
            params["filterByFormula"] = condition
        if page:
            params["offset"] = page
        answer = await self.ask("GET", self._path(table), _Page, params=params)
        if answer.value is None:
            return Answer(answer.attempt)
        if page and answer.value.offset == page:  # or this would never end
            detail = "Airtable gives the same page again and again."
            return Answer(replace(answer.attempt, outcome=Outcome.TRANSIENT, detail=detail))
        rows = tuple(_record(row) for row in answer.value.records)
        return Answer(answer.attempt, RecordPage(rows, answer.value.offset))

    async def upsert(self, table: Table, records: Sequence[Cells], merge_on: Sequence[str] = ()) -> Answer[Upserted]:
        """Write at most ten rows; a row whose ``merge_on`` columns (default: ``merge_field``) are there is changed.

        Idempotent: when the answer is lost the attempt is ``TRANSIENT`` with ``Applied.UNKNOWN``, and the same call may
        be made again. Columns that a row does not name stay as they are.
        """
        self._check_size(records)
        merge_on = tuple(merge_on) or (self.settings.merge_field,)
        keys = [tuple(record.get(column) or "" for column in merge_on) for record in records]
        if complaint := _complaint(merge_on, keys):
            return Answer(Attempt(self.name, Outcome.INPUT, Applied.NO, "check", detail=complaint))
        body = {
            "performUpsert": {"fieldsToMergeOn": merge_on},
            "typecast": self.settings.typecast,
            "records": [{"fields": record} for record in records],
        }
        answer = await self.ask("PATCH", self._path(table), _Written, effect=Effect.REPEATABLE, body=body)
        if answer.value is None:
            return Answer(answer.attempt)
        rows = answer.value.records
        if len(rows) != len(records):
            detail = f"Airtable was given {len(records)} rows and speaks of {len(rows)}; write them again."
            return Answer(replace(answer.attempt, outcome=Outcome.TRANSIENT, applied=Applied.UNKNOWN, detail=detail))
        by_key = {tuple(row.fields.get(column, "") for column in merge_on): row.id for row in rows}
        ids = tuple(by_key.get(key, row.id) for key, row in zip(keys, rows, strict=True))
        return Answer(answer.attempt, Upserted(ids, frozenset(answer.value.createdRecords)))

    async def update(self, table: Table, records: Sequence[tuple[str, Cells]]) -> Attempt:
        """Change at most ten rows by their ids, all of them or none; ``MISS`` when one is not there any more.

        Idempotent, as ``upsert`` is. Columns that a row does not name stay as they are.
        """
        self._check_size(records)
        body = {
            "typecast": self.settings.typecast,
            "records": [{"id": record_id, "fields": cells} for record_id, cells in records],
        }
        answer = await self.ask("PATCH", self._path(table), _Changed, effect=Effect.REPEATABLE, body=body)
        if answer.attempt.outcome is not Outcome.OK and _GONE.search(answer.attempt.code):
            # The table was read a moment ago, so it is a row that is missing.
            detail = "Airtable has a row no more that was to be changed."
            return replace(answer.attempt, outcome=Outcome.MISS, detail=detail)
        return answer.attempt

    def _check_size(self, records: Sequence[object]) -> None:
        if not 0 < len(records) <= self.batch_size:
            raise ValueError(f"{len(records)} rows; Airtable takes 1 to {self.batch_size} at a time")

    def _path(self, table: Table) -> str:
        return f"/{self.settings.base_id}/{percent(self._table(table), safe='')}"

    def _table(self, table: Table) -> str:
        return self.settings.contacts_table if table == "contacts" else self.settings.interactions_table


def _complaint(merge_on: Sequence[str], keys: Sequence[tuple[Cell, ...]]) -> str:
    """Why Airtable would refuse these rows; empty when it would not."""
    if len(merge_on) > MOST_MERGE_FIELDS:
        return f"Airtable merges on {MOST_MERGE_FIELDS} columns at the most, not on {len(merge_on)}."
    for place, key in enumerate(keys, start=1):
        for column, value in zip(merge_on, key, strict=True):
            if value == "" or value == ():
                return f"Row {place} has nothing in {shown(column)}, by which it would be found again."
    if len(set(keys)) != len(keys):
        return f"Two rows have the same {' and '.join(shown(column) for column in merge_on)}."
    return ""


def _record(row: _Row) -> CrmRecord:
    try:
        created_at: datetime | None = parse_rfc3339(row.createdTime)
    except ValueError:
        created_at = None
    return CrmRecord(row.id, created_at, row.fields)
