"""Whatever people do on both sides: after a sync both say the same, nothing is lost, and the next sync does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from airtable_there import There, base, everybody, home, sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.crm.syncing.agreeing import Terms, agree
from aicmo.crm.syncing.columns import Pair, as_cell, as_text, tags_text
from aicmo.gateways.records import CrmColumn
from aicmo.sandbox import RunningSandbox, start_sandbox
from aicmo.workspace import Workspace

PEOPLE = ("ann@one.example", "bob@one.example", "cy@two.example")
VALUES = ("", "One", "two", "O'Brien \\ “x”", "Zoë")
TAGS = ("newsletter", "trial", "customer", "vip")


@pytest.fixture(scope="module")
def converging_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


texts_there = st.sampled_from(VALUES)
tags_there = st.sets(st.sampled_from(TAGS))
values = st.fixed_dictionaries({}, optional={"company": texts_there, "first_name": texts_there, "tags": tags_there})
edits = st.lists(st.tuples(st.sampled_from(["here", "there"]), st.sampled_from(PEOPLE), values), max_size=8)
rounds = st.lists(st.tuples(edits, st.sampled_from(["ours", "theirs", "newer"])), min_size=1, max_size=3)


def edit_here(here: Workspace, email: str, wanted: dict[str, Any]) -> None:
    if email not in {each.address for each in here.crm.iterate()}:
        here.crm.add(email)
    known = here.crm.get(email)
    state = {name: text for name, text in wanted.items() if name != "tags"}
    if "tags" in wanted:
        state |= {f"tag.{tag}": tag if tag in wanted["tags"] else "" for tag in {*known.tags, *wanted["tags"]}}
    here.crm.edit(known, state)


def edit_there(there: There, email: str, wanted: dict[str, Any]) -> None:
    if email not in base(there):
        there.add({"Email": email})
    columns = {"company": "Company", "first_name": "First_name", "tags": "Tags"}
    cells = {columns[name]: sorted(value) if name == "tags" else value for name, value in wanted.items()}
    there.edit(email, **cells)


@given(rounds)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_both_sides_agree_after_a_sync_and_the_next_one_does_nothing(
    converging_sandbox: RunningSandbox, rounds: list[tuple[list[tuple[str, str, dict[str, Any]]], str]]
) -> None:
    there = There(converging_sandbox)
    there.clear()
    with TemporaryDirectory() as folder:
        async with home(Path(folder), converging_sandbox) as here:
            for edited, rule in rounds:
                for side, email, wanted in edited:
                    if side == "here":
                        edit_here(here, email, wanted)
                    else:
                        edit_there(there, email, wanted)
                before = everybody(here), base(there)
                done = await sync(here, rule=rule)
                assert done.status == "done", done
                assert everybody(here) == base(there)
                assert everybody(here).keys() == before[0].keys() | before[1].keys(), "nobody is lost"
                again = await sync(here, rule=rule)
                assert (again.pull.created, again.pull.updated, again.conflict_count) == (0, 0, 0)
                assert (again.push.created, again.push.updated, again.change_id) == (0, 0, None)
    there.close()


TEXT = Pair("company", CrmColumn("fld1", "Company", "text"))
TAGGED = Pair("tags", CrmColumn("fld2", "Tags", "choices"))
texts = st.sampled_from(("", "a", "b", "c"))


@given(texts, texts, texts, st.sampled_from(["ours", "theirs", "newer", "ask"]))
def test_what_only_one_side_changed_is_kept_whatever_the_rule(original: str, ours: str, theirs: str, rule: Any) -> None:
    seen = {TEXT.key: original}
    cells = {"Company": theirs} if theirs else {}
    done = agree([TEXT], {"company": ours}, cells, seen, Terms(rule))
    now = done.takes.get("company", ours)
    if ours == theirs or theirs == original:
        assert (now, done.clashes) == (ours, [])
    elif ours == original:
        assert (now, done.clashes) == (theirs, [])
    else:
        (clash,) = done.clashes
        assert now == {"ours": ours, "theirs": theirs, "neither": ours}[clash.kept]
    sent = "company" in done.sends
    assert sent == (now != theirs and "company" not in done.waits)


@given(tags_there, tags_there, tags_there)
def test_tags_that_either_side_added_or_removed_are_added_and_removed(
    original: set[str], ours: set[str], theirs: set[str]
) -> None:
    cells = {"Tags": tuple(theirs)} if theirs else {}
    done = agree([TAGGED], {"tags": tags_text(ours)}, cells, {TAGGED.key: tags_text(original)}, Terms())
    now = done.takes.get("tags", tags_text(ours))
    wanted = (ours | theirs) - (original - ours) - (original - theirs)
    assert now == tags_text(wanted) and not done.clashes
    assert ("tags" in done.sends) == (wanted != theirs)


@given(st.one_of(st.integers(-(10**12), 10**12), st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_a_number_survives_both_ways(number: float) -> None:
    column = CrmColumn("fld3", "Score", "number")
    assert as_cell(column, as_text(number)) == number or as_text(number) == ""


def test_an_address_is_compared_by_who_it_is() -> None:
    pair = Pair("email", CrmColumn("fld4", "Email", "text"))
    assert pair.same("Ann@ONE.example", "ann@one.example") and not pair.same("ann@one.example", "bob@one.example")
