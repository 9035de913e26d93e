from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.query import parse_query
from aicmo.crm.spreadsheet import escaped, unescaped
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, contacts, open_database
from aicmo.text import one_line


def test_somebody_is_found_however_their_address_is_spelled(crm: CRMRepository) -> None:
    added = crm.add("Ada@Example.com", first_name="Ada", fields={"Pet's name": "Byron"}, tags=["x,y"])
    assert crm.get("ADA <ada@example.COM>") == added
    assert (added.fields, added.tags, added.name) == ({"pet_s_name": "Byron"}, ("x", "y"), "Ada")


def test_nobody_is_added_twice(crm: CRMRepository) -> None:
    crm.add("ada@example.com")
    with pytest.raises(InvalidInput, match="already a contact"):
        crm.add("ADA@example.com")


def test_what_is_not_there_names_the_nearest(crm: CRMRepository) -> None:
    crm.add("ada.lovelace@example.com")
    with pytest.raises(NotFound) as refusal:
        crm.get("ada.lovelase@example.com")
    assert refusal.value.hint == "Did you mean ada.lovelace@example.com?"
    with pytest.raises(NotFound):
        crm.get("not an address")


def test_a_custom_field_cannot_hide_one_of_ours(crm: CRMRepository) -> None:
    with pytest.raises(InvalidInput, match="it means company"):
        crm.add("ada@example.com", fields={"Firma": "x"})


def test_tags_are_added_and_removed_over_a_query_or_on_one(crm: CRMRepository) -> None:
    for name in ("ann", "bob", "cid"):
        crm.add(f"{name}@acme.example", tags=["old"])
    assert crm.tag("acme", add=["New"]).changed == 3
    assert crm.tag("acme", add=["new"]).changed == 0
    assert crm.tag("bob@acme.example", add=["solo"], remove=["OLD"]).changed == 1
    assert crm.get("bob@acme.example").tags == ("New", "solo")
    assert crm.tag("", remove=["old", "never"]).changed == 2
    assert crm.tags() == (("New", 3), ("solo", 1))
    with pytest.raises(NotFound):
        crm.tag("dan@acme.example", add=["x"])


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("query", ["", "tag:even", "acme"])
def test_every_window_is_a_slice_of_the_whole(crm: CRMRepository, db: Database, gaps: bool, query: str) -> None:
    for number in range(23):
        crm.add(f"p{number}@acme.example", tags=["even"] if number % 2 == 0 else [])
    if gaps:
        db.write(lambda connection: connection.execute("DELETE FROM contact WHERE id IN (1, 5, 6, 23)"))
    whole = crm.list(query)
    selection = parse_query(query)
    for total in (None, len(whole)):
        for offset in range(26):
            for limit in (0, 1, 4, 30):
                window = db.read(lambda c, o=offset, n=limit, t=total: contacts.window(c, selection, o, n, total=t))
                assert tuple(window) == whole[offset : offset + limit]


@given(st.text())
def test_an_escaped_cell_is_read_back_and_never_begins_like_a_formula(text: str) -> None:
    assert unescaped(escaped(text)) == text
    assert escaped(text)[:1] not in tuple("=+-@\t\r\n＝＋－＠")


value = st.text(max_size=30).map(one_line) | st.sampled_from(
    ["=1+1", "'=1+1", "''+x", "'tis", "@x", "-5", "a,b;c", '"q"']
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(value, value, value), min_size=1, max_size=5))
def test_an_export_is_taken_back_exactly(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    folder = tmp_path_factory.mktemp("round")
    first, second = open_database(folder / "first.db"), open_database(folder / "second.db")
    for number, (name, company, note) in enumerate(rows):
        CRMRepository(first).add(
            f"p{number}@acme.example",
            first_name=name,
            company=company,
            fields={"note": note},
            tags=["=x", "Y z"],
            stage="engaged",
        )
    file = io.StringIO(newline="")
    assert CRMRepository(first).export("", file) == len(rows)
    CRMRepository(second).import_file(io.BytesIO(file.getvalue().encode()))
    known = ("email", "first_name", "last_name", "company", "title", "phone", "stage", "fields", "tags", "domain")
    sides = [[[getattr(c, name) for name in known] for c in CRMRepository(db).list()] for db in (first, second)]
    assert sides[0] == sides[1]
    first.close()
    second.close()


def test_an_export_is_for_its_owner_alone_and_says_how_many(crm: CRMRepository, tmp_path: Path) -> None:
    crm.add("ada@example.com", first_name="=cmd|' /C calc'!A0", fields={"city": "Rome"}, tags=["x"])
    crm.add("bob@example.com")
    path = tmp_path / "out.csv"
    assert crm.export("tag:x", path) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text(encoding="utf-8").splitlines() == [
        "email,first_name,last_name,company,title,phone,stage,tags,city",
        "ada@example.com,'=cmd|' /C calc'!A0,,,,,NEW,x,Rome",
    ]


def test_the_door_opens_without_anything_heavy() -> None:
    heavy = "{'tldextract', 'email_validator', 'charset_normalizer', 'sqlite_utils', 'asyncio', 'textual'}"
    program = f"import sys, aicmo.crm; aicmo.crm.CRMRepository; print(sorted({heavy} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
