"""JSON, NDJSON and vCard: what other programs hand over that is not a table."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm import CRMRepository, ImportResult
from aicmo.crm.reading import UnreadableRow, open_table
from aicmo.errors import InvalidInput

Import = Callable[..., ImportResult]
PEOPLE = [{"email": "ann@x.example", "first name": "Zoë"}, {"email": "bob@x.example", "city": "Rome"}]
ROWS = [
    {"email": "ann@x.example", "first name": "Zoë", "city": ""},
    {"email": "bob@x.example", "first name": "", "city": "Rome"},
]


def read(content: str | bytes) -> list[dict[str, str] | str]:
    """Each row by its titles; the reason of one that cannot be read."""
    data = content.encode() if isinstance(content, str) else content
    with open_table(io.BytesIO(data)) as table:
        return [
            row.reason if isinstance(row, UnreadableRow) else dict(zip(table.header, row, strict=False))
            for row in table.rows()
        ]


def told(row: dict[str, str] | str) -> dict[str, str]:
    assert isinstance(row, dict), row
    return {title: cell for title, cell in row.items() if cell}


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(PEOPLE),
        json.dumps(PEOPLE, indent=2),
        json.dumps({"total": 2, "contacts": PEOPLE, "next": None}),
        json.dumps({"contacts": PEOPLE}, indent=1),
        "\n".join(map(json.dumps, PEOPLE)),
        "\n\n".join(json.dumps(each, indent=3) for each in PEOPLE),
        "\ufeff" + json.dumps(PEOPLE),
        " \r\n" + "\r\n".join(map(json.dumps, PEOPLE)),
    ],
)
def test_every_way_to_write_a_list_of_objects_reads_the_same(content: str) -> None:
    assert read(content) == ROWS
    assert read(content.encode("utf-16")) == ROWS


def test_what_is_nested_becomes_columns_of_its_own() -> None:
    person = {
        "fields": {"City": "Rome"},
        "company": {"name": "Acme", "size": 3.50},
        "tags": ["vip", "press"],
        "emails": [{"value": "a@x.example"}, {"value": "b@x.example"}],
        "active": True,
        "age": None,
    }
    assert told(read(json.dumps([person]))[0]) == {
        "City": "Rome",
        "company name": "Acme",
        "company size": "3.5",
        "tags": "vip, press",
        "emails 1 value": "a@x.example",
        "emails 2 value": "b@x.example",
        "active": "true",
    }


def test_a_number_stays_as_it_is_written() -> None:
    assert told(read('[{"phone": 0.10, "id": 12345678901234567890123}]')[0]) == {
        "phone": "0.10",
        "id": "12345678901234567890123",
    }


def test_a_broken_line_costs_itself_alone() -> None:
    rows = read('{"email": "a@x.example"}\n{"email": oops}\n[1]\n{"email": "b@x.example"}\n')
    assert rows[0] == {"email": "a@x.example"}
    assert rows[1] == "line 2: not JSON (Expecting value)"
    assert rows[2] == "record 3 is not an object"
    assert rows[3] == {"email": "b@x.example"}


def test_a_broken_array_says_where_and_that_nothing_behind_it_was_read() -> None:
    rows = read('[{"email": "a@x.example"}, {"email": oops}, {"email": "b@x.example"}]')
    assert rows == [
        {"email": "a@x.example"},
        "character 38: not JSON (Expecting value); nothing behind it was read",
    ]


def test_a_field_of_ten_million_characters_costs_its_own_row_only(imported: Import) -> None:
    wide = "x" * 10_000_000
    for content in (
        json.dumps([{"email": "w@x.example", "note": wide}, {"email": "a@x.example"}]),
        "\n".join(json.dumps(each) for each in [{"email": "w@x.example", "note": wide}, {"email": "a@x.example"}]),
    ):
        result = imported(content, dry_run=True)
        assert result.counts.as_dict()["rejected"] == 1
        assert result.reasons == {"“note” is longer than 10,000 characters": 1}


def test_nesting_without_end_is_one_sentence() -> None:
    with pytest.raises(InvalidInput, match="nested too deeply"):
        read("[" * 200_000)


class Pipe(io.RawIOBase):
    """A stream that cannot be rewound, of which nobody holds more than a piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest = self._rest or b"".join(islice(self._pieces, 100))
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("array", [True, False])
def test_memory_does_not_grow_with_a_stream_of_records(crm: CRMRepository, array: bool) -> None:
    peaks = []
    for count in (3_000, 15_000):
        people = (json.dumps({"email": f"p{n}@x.example", "note": "n" * 200}).encode() for n in range(count))
        pieces = (b",\n"[1 - array :] + each for each in people)
        head, tail = (b'{"people": [{"email": "z@x.example"}', b"]}") if array else (b'{"email": "z@x.example"}', b"\n")
        stream = io.BufferedReader(Pipe(chain([head], pieces, [tail])))
        tracemalloc.start()
        assert crm.import_file(stream, dry_run=True, batch_rows=500).counts.rows == count + 1
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


@given(st.text(alphabet='[]{}",:\\ \n1eatru@.', max_size=60))
def test_no_text_whatever_crashes_the_reader(content: str) -> None:
    for opening in ("", "[{", '{"a":'):
        try:
            read(opening + content)
        except InvalidInput:
            continue


# --- vCard ------------------------------------------------------------------------------------------------------------

V21 = (
    "BEGIN:VCARD\r\nVERSION:2.1\r\n"
    "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:M=C3=BCller;J=C3=B6=\r\nrg;;Dr.;\r\n"
    "FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:J=C3=B6rg M=C3=BCller\r\n"
    "EMAIL;HOME:home@x.example\r\nEMAIL;WORK;PREF:Joerg@Acme.example\r\n"
    "TEL;CELL:+49 170 1\r\nTEL;WORK:+49 30 2\r\nTEL;HOME:+49 170 1\r\n"
    "ORG:Acme GmbH;Sales\r\nTITLE:Head of\r\n  Sales\r\n"
    "PHOTO;ENCODING=BASE64;JPEG:" + "QUJD" * 20_000 + "\r\n\r\n"
    "END:VCARD\r\n"
)
V30 = (
    "BEGIN:VCARD\nVERSION:3.0\nN:van Beethoven;Ludwig;;;\nFN:Ludwig van Beethoven\n"
    "item1.EMAIL;type=INTERNET;type=pref:ludwig@x.example\nitem1.X-ABLabel:_$!<Work>!$_\n"
    "ORG:Acme\\, Inc.;\nNOTE:first line\\nsecond\\; line\nCATEGORIES:vip,press\n"
    "ADR;TYPE=WORK:;;1 Rue\\, étage 2;Lyon;;69001;France\nBDAY:1770-12-17\nEND:VCARD\n"
)
V40 = (
    "BEGIN:VCARD\nVERSION:4.0\nFN:Ada King\nEMAIL;PREF=2:second@x.example\nEMAIL;PREF=1:mailto:ada@x.example\n"
    'TEL;VALUE=uri;TYPE="voice,home";PREF=1:tel:+44-20-7946\nROLE:Countess\nURL:https://ada.exam\n ple\nEND:VCARD\n'
)


def test_a_card_of_each_version_becomes_a_row() -> None:
    joerg, ludwig, ada = map(told, read(V21 + V30 + V40))
    assert joerg == {
        "email": "Joerg@Acme.example",
        "first name": "Jörg",
        "last name": "Müller",
        "name": "Jörg Müller",
        "company": "Acme GmbH",
        "title": "Head of  Sales",
        "phone": "+49 170 1",
        "other emails": "home@x.example",
        "other phones": "+49 30 2",
        "department": "Sales",
    }
    assert ludwig == {
        "email": "ludwig@x.example",
        "first name": "Ludwig",
        "last name": "van Beethoven",
        "name": "Ludwig van Beethoven",
        "company": "Acme, Inc.",
        "tags": "vip,press",
        "street": "1 Rue, étage 2",
        "city": "Lyon",
        "postal code": "69001",
        "country": "France",
        "birthday": "1770-12-17",
        "note": "first line\nsecond; line",
    }
    assert ada == {
        "email": "ada@x.example",
        "name": "Ada King",
        "title": "Countess",
        "phone": "+44-20-7946",
        "other emails": "second@x.example",
        "url": "https://ada.example",
    }


def test_cards_become_people(crm: CRMRepository, imported: Import, tmp_path: Path) -> None:
    result = imported(V21 + V30 + V40 + "BEGIN:VCARD\nVERSION:3.0\nFN:No Mail\nEND:VCARD\n")
    assert (result.counts.created, result.reasons) == (3, {"no address": 1})
    assert crm.get("ada@x.example").name == "Ada King"
    assert crm.get("ludwig@x.example").tags == ("press", "vip")
    assert crm.get("joerg@acme.example").fields["other_emails"] == "home@x.example"


def test_old_letters_in_a_card_are_read_as_what_they_were() -> None:
    card = "BEGIN:VCARD\nVERSION:2.1\nN;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Gro=DF;Ren=E9\nEND:VCARD\n"
    assert told(read(card)[0])["last name"] == "Groß"
    assert told(read("BEGIN:VCARD\nVERSION:3.0\nN:Groß;René\nEND:VCARD\n".encode("cp1252"))[0])["first name"] == "René"


def test_a_card_in_a_card_is_nobody_and_one_without_an_end_says_so() -> None:
    nested = (
        "BEGIN:VCARD\nFN:Out\nAGENT:\nBEGIN:VCARD\nFN:In\nEND:VCARD\nEMAIL:o@x.example\nEND:VCARD\nBEGIN:VCARD\nFN:X\n"
    )
    rows = read(nested)
    assert told(rows[0]) == {"email": "o@x.example", "name": "Out"}
    assert rows[1] == "card 2 has no END:VCARD"


@given(st.binary(max_size=300))
def test_no_bytes_whatever_crash_the_reading_of_cards(content: bytes) -> None:
    try:
        read(b"BEGIN:VCARD\n" + content)
    except InvalidInput:
        return
