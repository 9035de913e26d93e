from __future__ import annotations

import csv
import gc
import io
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.clock import SYSTEM_CLOCK
from aicmo.crm import CRMRepository, ImportProgress, ImportResult
from aicmo.crm.importing import POLICIES, Policy
from aicmo.crm.importing import rows as rows_module
from aicmo.crm.importing.rows import BATCH_ROWS
from aicmo.crm.reading import mended
from aicmo.errors import InvalidInput
from aicmo.store import Database, open_database, suppressions
from aicmo.store.suppressions import SuppressionReason
from aicmo.text import one_line

Import = Callable[..., ImportResult]

NOTHING = {"rows": 0, "created": 0, "updated": 0, "unchanged": 0, "skipped": 0, "rejected": 0}


def test_a_file_becomes_contacts(crm: CRMRepository, imported: Import) -> None:
    result = imported(
        "Vorname;Nachname;E-Mail-Adresse;Firma;Stadt;Tags\n"
        "Zoë;Müller;Zoe@Mail.Acme.example;Acme;Köln;vip, press\n"
        ";;;;;\n"
        "Jörg;Groß;joerg@acme.example;Acme;;\n",
        tags=["spring"],
    )
    assert (result.status, result.counts.as_dict()) == ("done", {**NOTHING, "rows": 2, "created": 2})
    zoe = crm.get("zoe@mail.acme.example")
    assert (zoe.name, zoe.email, zoe.domain, zoe.company) == (
        "Zoë Müller",
        "Zoe@Mail.Acme.example",
        "acme.example",
        "Acme",
    )
    assert (zoe.fields, zoe.tags, zoe.stage) == ({"stadt": "Köln"}, ("press", "spring", "vip"), "NEW")
    assert crm.get("joerg@acme.example").fields == {}


BEFORE = "email,first_name,company,city\nann@acme.example,Ann,,Rome\n"
AFTER = "email,first_name,company,city,pet\nANN@acme.example,Anna,Acme,,cat\n"


@pytest.mark.parametrize(
    ("policy", "counted", "first_name", "company", "fields"),
    [
        ("fill", "updated", "Ann", "Acme", {"city": "Rome", "pet": "cat"}),
        ("overwrite", "updated", "Anna", "Acme", {"city": "Rome", "pet": "cat"}),
        ("keep", "skipped", "Ann", "", {"city": "Rome"}),
    ],
)
def test_a_policy_says_what_a_row_may_do_to_somebody_known(
    crm: CRMRepository,
    imported: Import,
    policy: Policy,
    counted: str,
    first_name: str,
    company: str,
    fields: dict[str, str],
) -> None:
    imported(BEFORE)
    result = imported(AFTER, policy=policy, tags=["new"])
    ann = crm.get("ann@acme.example")
    assert result.counts.as_dict() == {**NOTHING, "rows": 1, counted: 1}
    assert (ann.first_name, ann.company, ann.fields) == (first_name, company, fields)
    assert ann.tags == (() if policy == "keep" else ("new",))


def test_the_policies_are_those_of_the_type() -> None:
    assert get_args(Policy) == POLICIES


def test_importing_the_same_file_again_changes_nothing(crm: CRMRepository, imported: Import) -> None:
    content = "email,name,tags\nann@acme.example,Ann Lee,VIP\nbob@acme.example,Bob,\n"
    imported(content)
    before = crm.list()
    for policy in ("fill", "overwrite"):
        assert imported(content.replace("VIP", "vip"), policy=policy).counts.as_dict() == {
            **NOTHING,
            "rows": 2,
            "unchanged": 2,
        }
    assert crm.list() == before


def test_a_later_row_of_the_file_meets_what_the_earlier_one_left(crm: CRMRepository, imported: Import) -> None:
    rows = "email,first_name,phone\nann@acme.example,Ann,\nAnn@Acme.example,Anna,123\nann@acme.example,Ann,123\n"
    assert imported(rows).counts.as_dict() == {**NOTHING, "rows": 3, "created": 1, "updated": 1, "unchanged": 1}
    assert (crm.get("ann@acme.example").first_name, crm.get("ann@acme.example").phone) == ("Ann", "123")


def test_rejected_rows_are_written_with_their_reason_for_their_owner_alone(
    crm: CRMRepository, imported: Import, tmp_path: Path
) -> None:
    rejected = tmp_path / "rejected.csv"
    result = imported(
        "email,name,note\nann@acme.example,Ann,\nnobody,=cmd(),Grüße\nb@c.example,B,x,y\n,Nameless,\n"
        f"long@acme.example,{'x' * 10_001},\n",
        rejected_file=rejected,
    )
    assert result.counts.as_dict() == {**NOTHING, "rows": 5, "created": 1, "rejected": 4}
    assert result.rejected_file == rejected
    assert rejected.stat().st_mode & 0o777 == 0o600
    with rejected.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["email", "name", "note", "reason"]
    assert rows[0] == ["nobody", "'=cmd()", "Grüße", "no @"]
    assert rows[1] == ["b@c.example", "B", "x", "y", "4 cells where the header has 3"]
    assert rows[2] == ["", "Nameless", "", "no address"]
    assert rows[3][3] == "“name” is longer than 10,000 characters"


def test_without_a_rejected_row_there_is_no_rejected_file(imported: Import, tmp_path: Path) -> None:
    assert imported(BEFORE, rejected_file=tmp_path / "rejected.csv").rejected_file is None
    assert not (tmp_path / "rejected.csv").exists()


def test_the_file_itself_is_never_the_rejected_file(imported: Import, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="over the file"):
        imported(BEFORE, rejected_file=tmp_path / "people.csv")


def test_a_rejected_file_that_cannot_be_written_stops_the_import_before_it_begins(
    crm: CRMRepository, imported: Import, tmp_path: Path
) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "rejected.csv"):
        with pytest.raises(InvalidInput, match="cannot be written"):
            imported(BEFORE, rejected_file=path)
    assert crm.count() == 0


def test_reasons_are_counted_also_without_a_file(imported: Import) -> None:
    rows = "email\nx\ny\nann@acme\n"
    reasons = {"no @": 2, "the domain is not a full one, such as example.com": 1}
    assert imported(rows, dry_run=True).reasons == imported(rows).reasons == reasons


def test_standard_input_is_a_file_too(crm: CRMRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    with io.TextIOWrapper(io.BytesIO(BEFORE.encode())) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert crm.import_file(Path("-")).counts.created == 1
        assert not stdin.buffer.closed


def test_a_header_alone_is_an_import_of_nobody_with_a_warning(imported: Import) -> None:
    result = imported("email,name\n")
    assert (result.counts.as_dict(), result.warnings) == (NOTHING, ("people.csv has no rows under its header.",))


def test_what_was_guessed_is_said(imported: Import) -> None:
    assert "read as cp1252" in imported("email,name\nrene@acme.example,René\n".encode("cp1252")).warnings[0]


def test_a_dry_run_writes_nothing(crm: CRMRepository, db: Database, imported: Import, tmp_path: Path) -> None:
    rejected = tmp_path / "rejected.csv"
    result = imported(BEFORE + "nobody,,,\n", dry_run=True, tags=["x"], rejected_file=rejected)
    assert result.counts.as_dict() == {**NOTHING, "rows": 2, "created": 1, "rejected": 1}
    assert (crm.count(), crm.tags(), result.import_id, rejected.exists()) == (0, (), None, False)
    assert db.read(lambda connection: connection.execute("SELECT count(*) FROM import").fetchone()[0]) == 0


people = st.lists(
    st.tuples(
        st.sampled_from(["a@x.example", "A@X.example", "b@x.example", "c@y.example", "nobody", ""]),
        st.sampled_from(["", "Ann", "Bob", "Zoë"]),
        st.sampled_from(["", "vip", "VIP, press"]),
        st.sampled_from(["", "engaged", "new"]),
    ),
    max_size=12,
)


def as_csv(rows: list[tuple[str, str, str, str]]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("email", "first_name", "tags", "stage"), *rows])
    return file.getvalue().encode()


@settings(max_examples=25, deadline=None)
@given(first=people, second=people, policy=st.sampled_from(POLICIES), batch=st.integers(1, 4))
def test_a_dry_run_counts_what_the_run_then_does_whatever_the_batches(
    first: list[tuple[str, str, str, str]], second: list[tuple[str, str, str, str]], policy: Policy, batch: int
) -> None:
    states = []
    for rows_in_batch in (batch, BATCH_ROWS):
        with tempfile.TemporaryDirectory() as folder:
            db = open_database(Path(folder) / "aicmo.db")
            crm = CRMRepository(db)
            counts = []
            for rows in (first, second):
                dry = crm.import_file(io.BytesIO(as_csv(rows)), policy=policy, dry_run=True, batch_rows=rows_in_batch)
                real = crm.import_file(io.BytesIO(as_csv(rows)), policy=policy, batch_rows=rows_in_batch)
                assert dry.counts == real.counts
                assert real.counts.rows == sum(any(row) for row in rows)
                counts.append(real.counts)
            states.append((counts, [(c.address, c.email, c.first_name, c.stage, c.tags) for c in crm.list()]))
            db.close()
    assert states[0] == states[1]


def test_a_cancelled_import_keeps_what_it_counted_and_says_so(
    crm: CRMRepository, db: Database, imported: Import
) -> None:
    seen: list[ImportProgress] = []
    content = "email\n" + "".join(f"p{n}@acme.example\n" for n in range(100))
    result = imported(content, progress=seen.append, cancelled=lambda: len(seen) >= 3, batch_rows=10)
    assert (result.status, result.counts.rows, crm.count()) == ("cancelled", 30, 30)
    assert [progress.counts.rows for progress in seen] == [10, 20, 30]
    status, counts = db.read(lambda c: tuple(c.execute("SELECT status, counts FROM import").fetchone()))
    assert (status, '"created": 30' in counts) == ("cancelled", True)
    assert imported(content).counts.as_dict() == {**NOTHING, "rows": 100, "created": 70, "unchanged": 30}


def test_an_import_that_fails_half_way_keeps_what_it_counted(
    crm: CRMRepository, db: Database, imported: Import
) -> None:
    def fail(progress: ImportProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported("email\n" + "".join(f"p{n}@acme.example\n" for n in range(30)), progress=fail, batch_rows=10)
    assert crm.count() == 10
    assert db.read(lambda c: c.execute("SELECT status FROM import").fetchone()[0]) == "cancelled"


def test_an_opt_out_outlives_an_import(db: Database, imported: Import) -> None:
    now = SYSTEM_CLOCK.now()
    db.write(lambda c: suppressions.add(c, "ann@acme.example", SuppressionReason.UNSUBSCRIBED, "test", now))
    for policy in POLICIES:
        imported(BEFORE, policy=policy)
    assert db.read(lambda c: suppressions.reason_for(c, "ann@acme.example")) == "unsubscribed"


@pytest.mark.parametrize(
    ("cell", "stored"),
    [
        ("[@click=app.quit]Bob[/]", "[@click=app.quit]Bob[/]"),
        ("oops [/foo]", "oops [/foo]"),
        ("Eve\x1b]52;c;aGFja2Vk\x07", "Eve]52;c;aGFja2Vk"),
        ("=?utf-8?q?A=0D=0ABcc=3A_x=40evil.example?=", "=?utf-8?q?A=0D=0ABcc=3A_x=40evil.example?="),
        ("Wide" * 1000, "Wide" * 1000),
        ("Anna\u202egnp.exe", "Annagnp.exe"),
        ("two\nlines\tand\r\na tab", "two lines and a tab"),
        ('=HYPERLINK("http://evil.example")', '=HYPERLINK("http://evil.example")'),
        ("'=1+1", "=1+1"),
        ("'tis", "'tis"),
        ("  spaced   out ", "spaced out"),
        ("{{ 7*7 }}", "{{ 7*7 }}"),
        ("Robert'); DROP TABLE contact;--", "Robert'); DROP TABLE contact;--"),
    ],
)
def test_hostile_names_arrive_whole_and_plain(crm: CRMRepository, imported: Import, cell: str, stored: str) -> None:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([["email", "first name", "note"], ["eve@evil.example", cell, cell]])
    assert imported(file.getvalue()).counts.created == 1
    eve = crm.get("eve@evil.example")
    assert (eve.first_name, eve.fields["note"]) == (stored, stored)


def test_what_is_taken_for_clean_has_nothing_to_clean() -> None:
    letters = "".join(f"x{chr(n)}" for n in range(0x110000) if chr(n).isprintable() and chr(n) not in " '")
    assert letters == one_line(letters) == mended(letters)


def test_a_column_that_is_not_one_of_tags_is_stopped(imported: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_TAGS", 3)
    result = imported("email,tags\n" + "".join(f"p{n}@acme.example,tag{n}\n" for n in range(5)))
    assert result.counts.as_dict() == {**NOTHING, "rows": 5, "created": 3, "rejected": 2}


class Endless(io.RawIOBase):
    """A CSV of ``rows`` people that nobody ever holds whole."""

    def __init__(self, rows: int) -> None:
        lines = (f"p{n}@corp{n % 500}.example,Ann{n},Corp {n % 500},some note\n".encode() for n in range(rows))
        self._rest = b""
        self._lines: Iterator[bytes] = chain([b"email,name,company,note\n"], lines)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._rest += b"".join(islice(self._lines, len(buffer) // 50))
        piece, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("dry_run", [True, False])
def test_memory_does_not_grow_with_the_file(crm: CRMRepository, dry_run: bool) -> None:
    peaks = []
    for rows in (5_000, 25_000):
        tracemalloc.start()
        assert crm.import_file(io.BufferedReader(Endless(rows)), dry_run=dry_run, batch_rows=1000).counts.rows == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
    assert peaks[1] < 20_000_000


def test_the_interpreter_is_set_up_for_an_import_and_put_back_after_it(imported: Import) -> None:
    def settings() -> tuple[object, float]:
        return gc.get_threshold(), sys.getswitchinterval()

    before, within = settings(), []
    imported("email\nann@acme.example\n", progress=lambda _: within.append(settings()))
    assert within[0] != before == settings()

    def cannot(_: ImportProgress) -> None:
        raise OSError

    with pytest.raises(OSError):
        imported("email\nbob@acme.example\n", progress=cannot)
    assert settings() == before
