from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from aicmo.config import Config
from aicmo.crm import CRMRepository
from aicmo.crm.segments import Segments
from aicmo.errors import InvalidInput, NotFound, QueryInvalid
from aicmo.paths import Paths
from aicmo.publishing import Draft
from aicmo.publishing.sequences.editing import Add
from aicmo.store import Database
from aicmo.workspace import Workspace, open_workspace


@pytest.fixture
def segments(db: Database) -> Segments:
    return Segments(db)


@pytest.fixture
def people(crm: CRMRepository) -> CRMRepository:
    for name in ("ann", "bob", "cy"):
        crm.add(f"{name}@acme.example", tags=["vip"])
    crm.add("di@globex.example")
    return crm


def counts(segments: Segments, name: str) -> tuple[int, int, int]:
    state = segments.get(name)
    return state.count, state.joined, state.left


def test_a_segment_is_always_as_of_now(people: CRMRepository, segments: Segments) -> None:
    segments.create("VIPs", "tag:vip")
    assert counts(segments, "vips") == (3, 0, 0)
    people.add("eve@acme.example", tags=["vip"])
    people.tag("ann@acme.example", remove=["vip"])
    people.tag("bob@acme.example", remove=["vip"])
    assert counts(segments, "VIPS") == (2, 1, 2)
    assert [(move.joined, move.contact.email) for move in segments.moves("vips")] == [
        (True, "eve@acme.example"),
        (False, "ann@acme.example"),
        (False, "bob@acme.example"),
    ]
    assert people.count("segment:vips") == 2


def test_a_name_that_is_taken_is_told_as_it_is_typed(segments: Segments) -> None:
    segments.create("who it's for", "")
    with pytest.raises(InvalidInput) as told:
        segments.create("who it's for", "")
    assert shlex.split(told.value.hint.verb) == ["segment", "edit", "who it's for"]


def test_looking_remembers_nothing_until_it_is_told_to(people: CRMRepository, segments: Segments) -> None:
    segments.create("VIPs", "tag:vip")
    people.tag("di@globex.example", add=["vip"])
    segments.list()
    assert counts(segments, "vips") == (4, 1, 0)
    told = segments.remember("vips")
    assert (told.count, told.joined, told.left) == (4, 1, 0)
    assert counts(segments, "vips") == (4, 0, 0)
    assert list(segments.moves("vips")) == []


def test_whoever_is_deleted_is_not_among_those_who_left(people: CRMRepository, segments: Segments) -> None:
    segments.create("VIPs", "tag:vip")
    people.delete("ann@acme.example")
    assert counts(segments, "vips") == (2, 0, 0)


def test_segments_combine_like_sets(people: CRMRepository, segments: Segments) -> None:
    segments.create("VIPs", "tag:vip or nobody")
    segments.create("Acme", "domain:acme.example -bob")
    assert people.count('segment:vips segment:"Acme"') == 2
    assert people.count("segment:vips -segment:acme") == 1
    assert people.count("-segment:vips") == 1
    segments.create("Both", "segment:vips segment:acme")
    people.tag("ann@acme.example", remove=["vip"])
    assert counts(segments, "both") == (1, 0, 1)


def test_an_edit_says_who_joins_and_leaves_by_it(people: CRMRepository, segments: Segments) -> None:
    segments.create("VIPs", "tag:vip")
    state = segments.edit("vips", query="-tag:vip", new_name="Others")
    assert (state.segment.name, state.count, state.joined, state.left) == ("Others", 1, 1, 3)
    with pytest.raises(NotFound, match="VIPs"):
        segments.get("VIPs")


def test_a_segment_is_never_made_of_itself(people: CRMRepository, segments: Segments) -> None:
    segments.create("A", "tag:vip")
    segments.create("B", "segment:a")
    segments.create("C", "bob or segment:b")
    for name, query, column in (("A", "tag:x segment:a", 14), ("A", "segment:c", 8)):
        with pytest.raises(QueryInvalid, match="made of itself") as refusal:
            segments.edit(name, query=query)
        assert refusal.value.column == column
    assert "A → C → B → A" in refusal.value.hint
    assert segments.get("A").segment.query == "tag:vip"


def test_a_name_that_others_ask_by_stays(people: CRMRepository, segments: Segments) -> None:
    segments.create("A", "tag:vip")
    segments.create("B", "-(segment:a acme)")
    refused: tuple[Callable[[], object], ...] = (
        lambda: segments.delete("A"),
        lambda: segments.edit("A", new_name="Z"),
    )
    for change in refused:
        with pytest.raises(InvalidInput, match="is used by the segment “B”"):
            change()
    segments.edit("A", new_name="a")
    segments.delete("B")
    segments.delete("A")
    assert segments.list() == ()


def test_a_name_that_a_campaign_asks_by_stays_until_it_is_over(tmp_path: Path) -> None:
    sender = {"name": "Ada", "email": "ada@example.com", "postal_address": "1 Way"}
    server = {"kind": "smtp", "host": "127.0.0.1", "port": 9, "security": "none"}
    config = {"sender": sender, "chains": {"email_sending": ["s"]}, "providers": {"s": server}}
    with open_workspace(Paths(tmp_path / "c.toml", tmp_path), Config.model_validate(config)) as workspace:
        _names_of_a_campaign_stay(workspace)


def _names_of_a_campaign_stay(workspace: Workspace) -> None:
    workspace.crm.add("ann@acme.example")
    for name in ("To", "Not", "If"):
        workspace.segments.create(name, "acme")
    workspace.segments.edit("Not", query="globex")
    content = workspace.contents.create("email", "News", Draft("S", "x")).id
    campaign = workspace.publishing.create_campaign("News", content, "segment:to", exclude="segment:not").id
    workspace.sequences.edit(campaign, Add(content, 60, "-segment:if"))
    used = {"To": "used by campaign 1.", "Not": "used by campaign 1.", "If": "used by step 2 of campaign 1."}

    def refused() -> None:
        for name, by in used.items():
            with pytest.raises(InvalidInput, match=by):
                workspace.segments.delete(name)
            with pytest.raises(InvalidInput, match=by):
                workspace.segments.edit(name, new_name="Other")

    refused()
    workspace.publishing.start(campaign, approve=True)
    refused()
    workspace.publishing.cancel(campaign)
    for name in used:
        workspace.segments.delete(name)


@pytest.mark.parametrize("name", ["", " ", 'a"b', "x" * 101, "VIPS"])
def test_a_name_that_cannot_be_asked_by_is_refused(name: str, segments: Segments) -> None:
    segments.create("vips", "tag:vip")
    with pytest.raises(InvalidInput):
        segments.create(name, "tag:vip")


def test_the_nearest_name_is_told(people: CRMRepository, segments: Segments) -> None:
    segments.create("Newcomers", "created:<30d")
    with pytest.raises(NotFound) as missing:
        segments.get("newcomer")
    with pytest.raises(QueryInvalid) as unknown:
        people.count('tag:vip -segment:"newcomer"')
    assert "Newcomers" in missing.value.hint and "Newcomers" in unknown.value.hint
    assert (unknown.value.query, unknown.value.column) == ('tag:vip -segment:"newcomer"', 18)


def test_one_whose_query_fails_does_not_hide_the_others(db: Database, segments: Segments) -> None:
    segments.create("Good", "tag:vip")
    segments.create("Torn", "tag:vip")
    db.write(lambda connection: connection.execute("UPDATE segment SET query = 'segment:gone' WHERE name = 'Torn'"))
    good, torn = segments.list()
    assert good.problem == "" and "gone" in torn.problem
