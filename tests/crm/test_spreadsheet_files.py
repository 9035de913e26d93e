"""Files that Gnumeric 1.12 saved, byte for byte: those of text come in, workbooks are named as such."""

from __future__ import annotations

from pathlib import Path

import pytest

from aicmo.crm import CRMRepository
from aicmo.errors import InvalidInput

FILES = Path(__file__).with_name("spreadsheets")
TEXTS = ["gnumeric-utf8.csv", "gnumeric-latin1-semicolon.csv", "gnumeric-utf16-tab.txt"]


@pytest.mark.parametrize("name", TEXTS)
def test_what_a_spreadsheet_saved_as_text_comes_in(crm: CRMRepository, name: str) -> None:
    assert crm.import_file(FILES / name).counts.created == 2
    jörg, ann = crm.list()
    assert (jörg.address, jörg.email) == ("jörg@xn--mller-kva.example", "jörg@müller.example")
    assert (jörg.name, jörg.company, jörg.phone) == ("Jörg Müller", "Müller & Söhne, KG", "0049 30 1234567")
    assert (jörg.fields["notiz"], jörg.fields["umsatz"]) == ('two lines "quoted"', "1234.5")
    assert (ann.name, ann.fields.keys()) == ("Ann Lee", {"seit", "umsatz"})


@pytest.mark.parametrize("name", ["gnumeric.ods", "gnumeric.xlsx"])
def test_a_workbook_is_named_as_such_and_nothing_is_changed(crm: CRMRepository, name: str) -> None:
    with pytest.raises(InvalidInput, match="workbook") as refused:
        crm.import_file(FILES / name)
    assert "CSV" in refused.value.hint
    assert crm.count() == 0


def test_every_file_is_tried() -> None:
    assert {each.name for each in FILES.iterdir()} == {*TEXTS, "gnumeric.ods", "gnumeric.xlsx"}
