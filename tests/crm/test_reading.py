"""Files as spreadsheets write them: every encoding with every delimiter and line end, and what is no table at all."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aicmo.crm.reading import SAMPLE_BYTES, UnreadableRow, open_table
from aicmo.errors import InvalidInput, NotFound

ROWS = [
    ["email", "first_name", "note"],
    ["zoe@acme.example", "Zoë", "Käse, Brot; Wein"],
    ["jose@acme.example", "José", 'says "hola"\ttwice'],
    ["ann@acme.example", "Ann", "first line\nsecond | line"],
]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]


def as_text(rows: list[list[str]], delimiter: str, newline: str) -> str:
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in rows]
    return newline.join(delimiter.join(row) for row in quoted) + newline


def read(content: bytes, **options: str) -> tuple[tuple[str, ...], list[list[str] | UnreadableRow]]:
    with open_table(io.BytesIO(content), **options) as table:
        return table.header, [
            row if isinstance(row, UnreadableRow) else [table.mend(cell) for cell in row] for row in table.rows()
        ]


class Counted(io.BytesIO):
    """A stream that knows how often it was asked."""

    asked = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked += 1
        return super().read(size)


def test_a_stream_is_asked_for_large_pieces() -> None:
    stream = Counted(b"email\n" + b"ann@acme.example\n" * 200_000)
    with open_table(stream) as table:
        assert sum(1 for _ in table.rows()) == 200_000
    assert stream.asked <= len(stream.getvalue()) // SAMPLE_BYTES + 3


@pytest.mark.parametrize(
    ("encoding", "delimiter", "newline"), itertools.product(ENCODINGS, ",;\t|", ["\n", "\r\n", "\r"])
)
def test_every_spelling_of_a_table_reads_the_same(encoding: str, delimiter: str, newline: str) -> None:
    header, rows = read(as_text(ROWS, delimiter, newline).encode(encoding))
    assert [list(header), *rows] == ROWS


@pytest.mark.parametrize("delimiter", ",;\t|")
def test_cells_without_quotes_are_cut_at_the_delimiter(delimiter: str) -> None:
    header, rows = read(f"email{delimiter}name\nann@acme.example{delimiter}Ann\n".encode())
    assert (header, rows) == (("email", "name"), [["ann@acme.example", "Ann"]])


def test_a_single_column_is_a_table() -> None:
    assert read(b"email\nann@acme.example\n") == (("email",), [["ann@acme.example"]])


def test_excels_separator_line_is_obeyed() -> None:
    assert read(b"sep=;\r\nemail;name\r\nann@acme.example;a,b\r\n")[1] == [["ann@acme.example", "a,b"]]


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp1251", "Анна Каренина живёт в Москве"), ("cp932", "東京都の鈴木さんと佐藤さん")]
)
def test_another_script_is_recognised(encoding: str, text: str) -> None:
    rows = read(f"email,note\nann@acme.example,{text}\n".encode(encoding) * 20)[1]
    assert rows[0] == ["ann@acme.example", text]


def test_a_cell_that_is_not_utf8_is_read_as_windows_1252_and_counted() -> None:
    content = "email,name\nzoe@acme.example,Zoë\n".encode() + b"filler@acme.example,x\n" * 20_000
    with open_table(io.BytesIO(content + "rene@acme.example,René\n".encode("cp1252"))) as table:
        cells = [[table.mend(cell) for cell in row] for row in table.rows() if isinstance(row, list)]
    assert len(content) > SAMPLE_BYTES
    assert (cells[0][1], cells[-1][1], table.mended_cells) == ("Zoë", "René", 1)


def test_an_encoding_that_is_named_wins() -> None:
    assert read("email,name\na@b.example,ł\n".encode("cp1250"), encoding="cp1250")[1] == [["a@b.example", "ł"]]
    with pytest.raises(InvalidInput, match="no encoding"):
        read(b"email\n", encoding="klingon")


def test_nul_bytes_do_not_stop_the_reading() -> None:
    header, rows = read(b"email,name\nann@acme.example,A\0nn\nbob@acme.example,Bob\n")
    assert (len(header), len(rows)) == (2, 2)


def test_a_gigantic_cell_costs_its_own_row_only() -> None:
    wide = b"x" * 10_000_000
    rows = read(b"email,name\na@b.example,A\nwide@b.example," + wide + b"\nc@d.example,C\n")[1]
    assert [isinstance(row, UnreadableRow) for row in rows] == [False, True, False]
    assert isinstance(rows[1], UnreadableRow)
    assert rows[1].reason.startswith("line 3: a cell of more than 131,072 characters")


def test_an_unclosed_quote_names_the_lines_it_swallowed() -> None:
    rows = read(b'email,name\na@b.example,"A\n' + b"x@y.example,X\n" * 20_000)[1]
    unreadable = [row for row in rows if isinstance(row, UnreadableRow)]
    assert len(unreadable) == 1
    assert unreadable[0].reason.startswith("lines 2 to ")
    assert "closing quote" in unreadable[0].reason


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ('"Ann\nb@x.example,Bob\nc@x.example,Cy', "lines 3 to 5: the quote that line 3 opens is never closed"),
        ('"An\nn","b\nc', "lines 3 to 5: the quote that line 4 opens is never closed"),
        ('"', "line 3: the quote that line 3 opens is never closed"),
    ],
)
def test_a_quote_that_is_open_at_the_end_costs_its_row_and_says_where_it_opens(
    rows: str, reason: str, end: str
) -> None:
    header, read_rows = read(f"email,name,note\nfirst@x.example,F,\na@x.example,{rows}{end}".encode())
    assert (header, read_rows) == (
        ("email", "name", "note"),
        [["first@x.example", "F", ""], UnreadableRow(reason)],
    )


def test_a_quote_that_the_header_leaves_open_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no header: lines 1 to 2: the quote that line 1 opens is never closed"):
        read(b'email,"name\na@x.example,Ann\n')


def test_what_an_open_quote_swallowed_is_no_sample() -> None:
    with open_table(io.BytesIO(b'email,name\na@x.example,A\nb@x.example,"B\nc@x.example,C\n')) as table:
        assert table.sample == (("a@x.example", "A"),)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \r\n\r\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"PK\x03\x04" + bytes(100), "workbook"),
        (bytes(range(256)) * 20, "is not text"),
        (b"\x1f\x8b\x08" + bytes(100), "is compressed"),
        (b"<html><body>", "looks like HTML"),
        (b"[]", "holds no list of objects"),
        (b'{"contacts": []', "holds no list of objects: character 16: not JSON"),
    ],
)
def test_what_is_no_table_is_refused_in_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        read(content)


def test_a_file_that_is_not_there_or_not_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="There is no file"), open_table(tmp_path / "nothing.csv"):
        pass
    with pytest.raises(InvalidInput, match="cannot be read"), open_table(tmp_path):
        pass


@given(st.binary(max_size=400))
def test_no_bytes_whatever_crash_the_reader(content: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        read(content)


@pytest.mark.parametrize("above", [b"", b"sep=;\r\n"])
def test_what_cannot_be_read_is_told_by_its_line_in_the_file(above: bytes) -> None:
    lines = bool(above)
    rows = read(above + b'email;name\r\nann@acme.example;Ann\r\nbob@acme.example;"Bob\r\n')[1]
    assert isinstance(rows[-1], UnreadableRow)
    assert rows[-1].reason == f"line {3 + lines}: the quote that line {3 + lines} opens is never closed"
    with pytest.raises(InvalidInput, match=f"line {1 + lines}: the quote that line {1 + lines} opens"):
        read(above + b'"email;name\r\n')
