from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from aicmo.sandbox.formula import FormulaError, compile_formula

FIELDS = {name: name for name in ("Name", "Score", "Tags", "At", "First name")} | {"fldName": "Name"}


@dataclass
class Row:
    cells: dict[str, Any] = field(default_factory=dict)
    id: str = "rec1"
    created_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    modified_at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


ROW = Row({"Name": 'O\'Neill \\ "Sons"', "Score": 3, "Tags": ["a", "b"], "At": "2026-05-01"})


@pytest.mark.parametrize(
    "formula",
    [
        r"""{Name}='O\'Neill \\ "Sons"'""",
        r'''{Name}="O'Neill \\ \"Sons\""''',
        "{fldName}={Name}",
        "Name=Name",
        "Score=3",
        "{Score}&''='3'",
        "1 + 2 * 3 = 7",
        "(1 + 2) * 3 = 9",
        "-1 < 0",
        "4 / 2 - 1 = 1",
        "{First name}=''",
        "{First name}=BLANK()",
        "NOT({First name})",
        "AND(TRUE(), Score > 2, Score <= 3)",
        "OR(FALSE(), Score != 4)",
        "LOWER(UPPER('aB'))='ab'",
        "FIND('Neill', Name) = 3",
        "FIND('neill', Name) = 0",
        "LEN(TRIM('  abc ')) = 3",
        "RECORD_ID()='rec1'",
        "{Tags}&'' = 'a, b'",
        "IS_BEFORE(CREATED_TIME(), LAST_MODIFIED_TIME())",
        "IS_AFTER(LAST_MODIFIED_TIME(), '2026-01-01T12:00:00.000Z')",
        "LAST_MODIFIED_TIME() >= DATETIME_PARSE('2026-01-02')",
        "IS_SAME({At}, DATETIME_PARSE('2026-05-01'), 'day')",
        "Name",
    ],
)
def test_a_record_passes(formula: str) -> None:
    assert compile_formula(formula, FIELDS)(ROW)


@pytest.mark.parametrize(
    "formula",
    [
        "0",
        "''",
        "FALSE()",
        "{First name}",
        "Score = 4",
        "Name > Score / 0",
        "IS_AFTER('soon', 'late')",
        "1/0",
        "'a'='A'",
    ],
)
def test_a_record_is_dropped(formula: str) -> None:
    assert not compile_formula(formula, FIELDS)(ROW)


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "(",
        "1 +",
        "'open",
        "{Name",
        "{Na}me}='x'",
        "{Nothing}",
        "NOPE()",
        "LOWER()",
        "AND(1",
        "1 2",
        "Name == 1",
        "%",
    ],
)
def test_a_formula_that_cannot_be_read_is_an_error(formula: str) -> None:
    with pytest.raises(FormulaError):
        compile_formula(formula, FIELDS)
