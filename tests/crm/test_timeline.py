"""One person's whole story, in order, a page at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from clocks import NOON, MovedClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicmo.crm import CRMRepository
from aicmo.crm.history import History
from aicmo.crm.history import told as sentences
from aicmo.crm.timeline import KINDS, Item, Timeline
from aicmo.crm.today import Today
from aicmo.errors import InvalidInput, NotFound
from aicmo.store import Database, campaigns, contents, events, open_database, stages
from aicmo.store.contents import Draft
from aicmo.store.events import Event


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock(tick=timedelta(seconds=1))


@pytest.fixture
def crm(db: Database, clock: MovedClock) -> CRMRepository:
    return CRMRepository(db, clock)


@pytest.fixture
def timeline(db: Database, clock: MovedClock) -> Timeline:
    return Timeline(db, clock)


def told(items: tuple[Item, ...]) -> list[tuple[str, str]]:
    return [(each.what, each.text) for each in items]


def test_everything_that_is_known_is_told_the_latest_first(
    crm: CRMRepository, db: Database, timeline: Timeline
) -> None:
    ada = crm.add("ada@example.com", title="Countess")

    def fill(c: sqlite3.Connection) -> None:
        content = contents.create(c, "email", "T", Draft("S", "B"), NOON)
        campaign = campaigns.create(c, "Autumn news", content, "", NOON)
        rows = [("sent", "smtp-a", ""), ("failed", "smtp-a", "no such user"), ("queued", None, "")]
        for number, (state, provider, reason) in enumerate(rows):
            c.execute(
                """INSERT INTO delivery (campaign_id, step, address, contact_id, state, provider, reason, at)
                   VALUES (?, ?, 'ada@example.com', ?, ?, ?, ?, ?)""",
                (campaign, number, ada.id, state, provider, reason, f"2030-01-0{number + 1}T00:00:00.000Z"),
            )
        events.add(c, Event(ada.id, "replied", NOON.replace(year=2031), campaign_id=campaign, text="Yes", human=True))
        stages.move(c, ada.id, "ENGAGED", "replied", "inbox", NOON.replace(year=2032))
        c.executemany(
            """INSERT INTO enrichment (contact_id, field, provider, value, at)
               VALUES (?, ?, 'apollo', ?, '2033-01-01T00:00:00.000Z')""",
            [(ada.id, "phone", "123"), (ada.id, "title", "Boss")],
        )
        c.execute(
            """INSERT INTO lookup (contact_id, capability, provider, batch, place, outcome, at)
               VALUES (?, 'lead_enrichment', 'dropcontact', 'b', 0, 'no_match', '2034-01-01T00:00:00.000Z')""",
            (ada.id,),
        )
        c.execute(
            """INSERT INTO verification (contact_id, status, word, provider, at)
               VALUES (?, 'valid', 'ok', 'mx', '2035-01-01T00:00:00.000Z')""",
            (ada.id,),
        )
        c.execute(
            """INSERT INTO consent (contact_id, purpose, given, source, wording, at)
               VALUES (?, 'newsletter', 1, 'fair', 'Yes please', '2036-01-01T00:00:00.000Z')""",
            (ada.id,),
        )

    db.write(fill)
    crm.edit(crm.get("ada@example.com"), {"company": "Engines", "stage": "converted"})
    page = timeline.page(ada.id)
    assert told(page.items) == [
        ("consent to newsletter given", "Yes please"),
        ("address valid, says mx", "ok"),
        ("dropcontact does not know them", ""),
        ("enriched by apollo", "phone = 123, title = Boss"),
        ("NEW → ENGAGED", "replied"),
        ("replied", "Yes"),
        ("not sent", "no such user"),
        ("sent by smtp-a", ""),
        ("ENGAGED → CONVERTED", "by hand"),
        ("edit", "company: nothing → “Engines”"),
        ("added", ""),
    ]
    assert {each.campaign for each in page.items} == {"", "Autumn news"}
    assert {each.kind for each in page.items} <= KINDS.keys()
    assert told(page.to_come) == [("waits to be sent", "")]
    assert page.cursor is None


def test_what_is_planned_stands_above(crm: CRMRepository, db: Database, timeline: Timeline) -> None:
    ada = crm.add("ada@example.com", tags=["vip"])
    crm.add("bob@example.com")
    Today(db).plan(ada, "call", "2030-02-03")

    def schedule(c: sqlite3.Connection) -> None:
        content = contents.create(c, "email", "T", Draft("S", "B"), NOON)
        for name, query in (("To vips", "tag:vip"), ("To others", "-tag:vip")):
            number = campaigns.create(c, name, content, query, NOON)
            c.execute("UPDATE campaign SET status = 'scheduled', scheduled_at = '2030' WHERE id = ?", (number,))

    db.write(schedule)
    page = timeline.page(ada.id)
    assert [(each.what, each.at, each.text or each.campaign) for each in page.to_come] == [
        ("next action", "2030-02-03", "call"),
        ("will be sent", "2030", "To vips"),
    ]


def test_notes_are_written_pinned_reworded_and_deleted(crm: CRMRepository, timeline: Timeline) -> None:
    ada = crm.add("ada@example.com")
    first = timeline.note(ada.id, "likes tea\x1b[2J", pinned=True)
    second = timeline.note(ada.id, "two\nlines")
    page = timeline.page(ada.id, kinds=["note"])
    assert (told(page.pinned), told(page.items)) == ([("note", "likes tea[2J")], [("note", "two\nlines")])
    timeline.pin(first, False)
    timeline.rewrite_note(second, "other words")
    assert told(timeline.page(ada.id, kinds=["note"]).items) == [("note", "other words"), ("note", "likes tea[2J")]
    timeline.delete_note(first)
    event = crm.record_event(Event(ada.id, "replied", NOON))
    assert event is not None
    for refused in (lambda: timeline.delete_note(event), lambda: timeline.rewrite_note(event, "x")):
        with pytest.raises(NotFound):
            refused()
    timeline.pin(event)
    for text in ("", "x" * 10_001):
        with pytest.raises(InvalidInput):
            timeline.note(ada.id, text)


def test_it_is_narrowed_by_kind_and_by_words(crm: CRMRepository, timeline: Timeline) -> None:
    ada = crm.add("ada@example.com")
    timeline.note(ada.id, "Likes TEA")
    timeline.note(ada.id, "likes trains")
    crm.edit(ada, {"title": "Tea lady"})
    assert told(timeline.page(ada.id, search="tea likes").items) == [("note", "Likes TEA")]
    assert [each.kind for each in timeline.page(ada.id, search="tea").items] == ["change", "note"]
    assert [each.kind for each in timeline.page(ada.id, kinds=["note", "arrival"]).items] == ["note", "note", "arrival"]
    with pytest.raises(InvalidInput, match="no kind"):
        timeline.page(ada.id, kinds=["notes"])
    for cursor in ("x", "2026 event", "2026 event:x"):
        with pytest.raises(InvalidInput, match="place"):
            timeline.page(ada.id, after=cursor)


def test_an_undone_change_says_so(crm: CRMRepository, db: Database, timeline: Timeline) -> None:
    ada = crm.add("ada@example.com")
    crm.edit(ada, {"title": "x"})
    History(db).undo()
    assert [each.what for each in timeline.page(ada.id, kinds=["change"]).items] == ["edit (undone)"]


def test_another_persons_story_stays_theirs(crm: CRMRepository, timeline: Timeline) -> None:
    ada, bob = crm.add("ada@example.com"), crm.add("bob@example.com")
    timeline.note(bob.id, "secret")
    assert [each.kind for each in timeline.page(ada.id).items] == ["arrival"]


moments = st.integers(0, 3).map(lambda minutes: NOON + timedelta(minutes=minutes))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["event", "stage"]), moments), max_size=12), st.integers(1, 4))
def test_the_pages_are_the_whole_story_with_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, story: list[tuple[str, datetime]], size: int
) -> None:
    db = open_database(tmp_path_factory.mktemp("story") / "aicmo.db")
    ada = CRMRepository(db).add("ada@example.com").id

    def fill(c: sqlite3.Connection) -> Any:
        for what, at in story:
            if what == "event":
                events.add(c, Event(ada, "call", at))
            else:
                stages.note(c, ada, "NEW", "NEW", "x", "y", at)

    db.write(fill)
    timeline = Timeline(db)
    whole = timeline.page(ada, limit=100).items
    assert len(whole) == len(story) + 1
    assert [each.at for each in whole] == sorted((each.at for each in whole), reverse=True)
    paged: list[Item] = []
    cursor: str | None = ""
    while cursor is not None:
        page = timeline.page(ada, limit=size, after=cursor)
        paged += page.items
        cursor = page.cursor
    assert tuple(paged) == whole
    db.close()


def test_a_plan_and_a_tag_are_told_in_words(crm: CRMRepository, db: Database, timeline: Timeline) -> None:
    ada = crm.add("ada@example.com")
    today = Today(db, MovedClock(tick=timedelta(seconds=1)))
    today.plan(ada, "call", "2031-05-06")
    crm.tag("ada@example.com", add=["VIP"])
    crm.tag("ada@example.com", remove=["vip"])
    assert [text for what, text in told(timeline.page(ada.id, kinds=["change"]).items) if text] == [
        "no longer tagged “VIP”",
        "tagged “VIP”",
        "call, 2031-05-06",
    ]


def test_whatever_is_done_to_a_note_is_one_step_of_undo(crm: CRMRepository, timeline: Timeline, db: Database) -> None:
    ada = crm.add("ada@example.com")
    reply = crm.record_event(Event(ada.id, "replied", NOON, text="Yes"))
    assert reply is not None
    history = History(db)

    def story() -> tuple[list[tuple[str, str]], ...]:
        page = timeline.page(ada.id, kinds=["note", "replied"])
        return told(page.pinned), told(page.items)

    number = timeline.note(ada.id, "likes tea", pinned=True)
    steps: list[tuple[Callable[[], object], str]] = [
        (lambda: timeline.rewrite_note(number, "likes coffee"), "Reworded a note about ada@example.com: likes tea"),
        (lambda: timeline.pin(number, False), "Let go of a note about ada@example.com: likes coffee"),
        (lambda: timeline.pin(number), "Pinned a note about ada@example.com: likes coffee"),
        (lambda: timeline.pin(reply), "Pinned “replied” of ada@example.com: Yes"),
        (lambda: timeline.delete_note(number), "Deleted a note about ada@example.com: likes coffee"),
    ]
    seen = [story()]
    for change, summary in steps:
        change()
        seen.append(story())
        assert history.list(limit=1)[0].summary == summary
    for before in reversed(seen[:-1]):
        undone = history.undo()
        assert undone is not None and undone.kept == () and story() == before
    history.undo()
    assert story() == ([], [("replied", "Yes")])
    for after in seen:
        redone = history.redo()
        assert redone is not None and redone.kept == () and story() == after
    assert history.redo() is None


def test_pinning_what_is_pinned_is_no_step(crm: CRMRepository, timeline: Timeline, db: Database) -> None:
    note = timeline.note(crm.add("ada@example.com").id, "likes tea", pinned=True)
    before = History(db).list()
    timeline.pin(note)
    assert History(db).list() == before


def test_undo_leaves_and_names_a_note_that_was_reworded_since(
    crm: CRMRepository, timeline: Timeline, db: Database
) -> None:
    ada, history = crm.add("ada@example.com"), History(db)
    number = timeline.note(ada.id, "likes tea")
    written = history.list(limit=1)[0].id
    timeline.rewrite_note(number, "likes coffee")
    undone = history.undo(written)
    assert undone is not None
    assert list(sentences(undone.kept)) == [
        f"ada@example.com: note {number} stays “likes coffee”, and is not empty again."
    ]
    assert told(timeline.page(ada.id, kinds=["note"]).items) == [("note", "likes coffee")]


def test_a_step_of_undo_that_is_a_note_does_not_stand_in_the_story_beside_it(
    crm: CRMRepository, timeline: Timeline
) -> None:
    ada = crm.add("ada@example.com")
    timeline.rewrite_note(timeline.note(ada.id, "likes tea"), "likes coffee")
    assert [each.kind for each in timeline.page(ada.id).items] == ["note", "arrival"]
