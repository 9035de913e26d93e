"""What is exported and imported again is the same people, whatever they are called."""

from __future__ import annotations

import io
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.clock import SYSTEM_CLOCK
from aicmo.crm import CRMRepository
from aicmo.store import contacts, open_database
from aicmo.store.contacts import STAGES, Entry
from aicmo.text import one_line

text = st.text(max_size=12).map(one_line) | st.sampled_from(
    ["=1+1", "'=1+1", "''tis", "@cmd", "-2", "＝A1", 'a "b", c', "x;y|z", "Zoë", "{{ 7*7 }}", "[/b]", "NULL", "0012"]
)
people = st.lists(
    st.builds(
        lambda first, last, company, title, phone, stage, fields, tags: Entry(
            "", "", first, last, company, title, phone, "x.example", stage, fields, frozenset(tags)
        ),
        text,
        text,
        text,
        text,
        text,
        st.sampled_from(STAGES),
        st.dictionaries(st.sampled_from(["city", "pet", "budget_2"]), text.filter(bool)),
        st.sets(st.sampled_from(["vip", "long word", '"quoted"', "=tag", "'tag", "Ünder"]), max_size=3),
    ),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(people)
def test_an_export_imports_as_exactly_the_same_people(entries: list[Entry]) -> None:
    there = [each._replace(address=f"p{n}@x.example", email=f"P{n}@x.example") for n, each in enumerate(entries)]
    with tempfile.TemporaryDirectory() as folder:
        with closing(open_database(Path(folder, "one.db"))) as db:
            db.write(lambda c: contacts.insert(c, there, SYSTEM_CLOCK.now()))
            file = io.StringIO(newline="")
            CRMRepository(db).export("", file)
        with closing(open_database(Path(folder, "two.db"))) as db:
            result = CRMRepository(db).import_file(io.BytesIO(file.getvalue().encode()))
            found = db.read(lambda c: [contacts.as_entry(each) for each in contacts.iterate(c)])
    assert result.counts.created == len(there)
    assert found == there
