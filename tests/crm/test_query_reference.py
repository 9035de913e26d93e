"""The query language against a slow reference: random questions to a few hundred random people, answered one by one."""

from __future__ import annotations

import random
import re
import sqlite3
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aicmo.clock import rfc3339
from aicmo.crm.query import KEYS, parse_query
from aicmo.crm.segments import select
from aicmo.store import Database, contacts, events, glance, open_database, segments, suppressions
from aicmo.store.contacts import STAGES, Entry
from aicmo.store.events import Event
from aicmo.store.suppressions import SuppressionReason

NOW = datetime(2026, 11, 22, 14, 5, tzinfo=UTC)
TODAY = NOW.astimezone().date()
DAY = timedelta(days=1)
HOW_MANY = 300
LIMIT = 7


@dataclass
class Person:
    """What is known of somebody, in Python."""

    id: int
    entry: Entry
    created: datetime
    score: int | None
    import_id: int | None
    alias: str
    suppressed: str
    verified: str
    due: date | None
    happened: list[Event] = field(default_factory=list)
    deliveries: list[tuple[int, str, datetime]] = field(default_factory=list)
    """Campaign, state, when."""
    consents: list[tuple[str, bool, datetime]] = field(default_factory=list)
    """In the order they were written down."""


Truth = Callable[[Person], bool]
Asked = tuple[str, Truth]
"""A query, and whether somebody is meant by it."""


def some_people() -> list[Person]:
    chance = random.Random(4)
    pick = chance.choice

    def moment() -> datetime:
        """Around every border that a query here can draw."""
        border = pick([NOW, NOW - 7 * DAY, NOW - 30 * DAY, midnight(date(2026, 11, 1)), midnight(TODAY)])
        return border + timedelta(hours=pick([-30, -1, 0, 1, 30]), milliseconds=pick([-1, 0, 1]))

    people = []
    for number in range(1, HOW_MANY + 1):
        domain = pick(["acme.example", "globex.example", "north.example"])
        address = f"{pick(['jane', 'anna.lee', 'o.neil'])}{number}@{domain}"
        entry = Entry(
            address,
            address.title(),
            pick(["", "Jane", "Zoë", "Łukasz", "anna"]),
            pick(["", "Müller", "O'Neil", "Doe", "Haddad"]),
            pick(["", "Acme Rockets", "North & Star", "Globex"]),
            pick(["", "Head of Sales", "head", "Of Head"]),
            pick(["", "+49 30 1234"]),
            domain,
            pick(STAGES),
            pick(
                [
                    {},
                    {"city": pick(["Köln", "köln", "London", "12"])},
                    {"size": pick(["50", "50.0", "9", "-3", "many", "1e3"])},
                    {"renewal": pick(["2026-11-30", "2026-12-01", "2026-12-01T10:00", "2027-01-01", "soon"])},
                    {"likes": pick(["Tea", "Tea; Coffee", "Coffee; tea", "Teapot"])},
                ]
            ),
            frozenset(chance.sample(["vip", "Press", "new people"], chance.randrange(3))),
        )
        person = Person(
            number,
            entry,
            created=moment(),
            score=pick([None, 0, 59, 60, 61, 100]),
            import_id=pick([None, 1, 2]),
            alias=pick(["", "", f"old{number}@acme.example"]),
            suppressed=pick(["", "", "unsubscribed", "bounced", "manual"]),
            verified=pick(["", "valid", "risky", "invalid", "unknown"]),
            due=pick([None, TODAY - DAY, TODAY, TODAY + 6 * DAY, TODAY + 7 * DAY]),
        )
        for _ in range(chance.randrange(4)):
            kind = pick(["replied", "opened", "clicked", "bounced", "unsubscribed", "complained", "note", "call"])
            person.happened.append(
                Event(number, kind, moment(), campaign_id=pick([None, 1, 2]), human=pick([None, True, False]))
            )
        for campaign in chance.sample([1, 2], chance.randrange(3)):
            person.deliveries.append((campaign, pick(["sent", "queued", "bounced", "failed"]), moment()))
        for _ in range(chance.randrange(4)):
            person.consents.append((pick(["newsletter", "Newsletter", "calls"]), pick([True, False]), moment()))
        people.append(person)
    return people


def store(db: sqlite3.Connection, people: list[Person]) -> None:
    at = rfc3339(NOW)
    for number in (1, 2):
        db.execute("INSERT INTO content VALUES (?, 'email', 'T', ?)", (number, at))
        db.execute(
            "INSERT INTO campaign (id, name, content_id, audience, created_at) VALUES (?, 'C', ?, '', ?)",
            (number, number, at),
        )
        db.execute("INSERT INTO import (id, source, status, started_at) VALUES (?, 'f', 'done', ?)", (number, at))
    contacts.insert(db, [person.entry for person in people], NOW)
    for person in people:
        n = person.id
        db.execute(
            "UPDATE contact SET created_at = ?, score = ?, import_id = ? WHERE id = ?",
            (rfc3339(person.created), person.score, person.import_id, n),
        )
        if person.alias:
            db.execute("INSERT INTO alias VALUES (?, ?, NULL)", (person.alias, n))
        if person.suppressed:
            suppressions.add(db, person.entry.address, SuppressionReason(person.suppressed), "test", NOW)
        if person.verified:
            db.execute("INSERT INTO verification VALUES (?, ?, '', 'p', ?)", (n, person.verified, at))
        if person.due:
            db.execute("INSERT INTO next_action VALUES (?, ?, 'call', ?)", (n, person.due.isoformat(), at))
        for event in person.happened:
            events.add(db, event)
        for campaign, state, when in person.deliveries:
            db.execute(
                "INSERT INTO delivery (campaign_id, address, contact_id, state, at) VALUES (?, ?, ?, ?, ?)",
                (campaign, person.entry.address, n, state, rfc3339(when)),
            )
        for purpose, given_, when in person.consents:
            db.execute(
                "INSERT INTO consent (contact_id, purpose, given, source, at) VALUES (?, ?, ?, 'form', ?)",
                (n, purpose, given_, rfc3339(when)),
            )
    db.execute(  # of somebody who was deleted since
        "INSERT INTO delivery (campaign_id, address, state, at) VALUES (1, 'gone@acme.example', 'sent', ?)", (at,)
    )
    for name, query in (("Big ones", "company:acme or score:>=60"), ("Bigger", 'segment:"big ones" -tag:vip')):
        segments.create(db, name, query, NOW)


# --- what is true of somebody, said once more, slowly -----------------------------------------------------------------


def midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()


def tokens(text: str) -> list[str]:
    letters = unicodedata.normalize("NFD", text.lower())
    return re.findall(r"[^\W_]+", "".join(c for c in letters if not unicodedata.combining(c)))


def says(text: str, words: str, *, whole: bool) -> bool:
    """Whether the words stand in the text one after the other, the last one at least begun."""
    wanted, there = tokens(words), tokens(text)
    for start in range(len(there) - len(wanted) + 1):
        part = there[start : start + len(wanted)]
        last = part[-1] == wanted[-1] if whole else part[-1].startswith(wanted[-1])
        if part[:-1] == wanted[:-1] and last:
            return True
    return False


def said_in(columns: str, words: str, *, whole: bool = False) -> Truth:
    """Every word in one of the columns; words in quotes together in one."""
    parts = [words] if whole else words.split()
    return lambda p: all(any(says(getattr(p.entry, c), part, whole=whole) for c in columns.split()) for part in parts)


def since(moments: Callable[[Person], list[datetime]], start: datetime) -> Truth:
    return lambda p: any(moment >= start for moment in moments(p))


def no(truth: Truth) -> Truth:
    return lambda p: not truth(p)


def created(p: Person) -> list[datetime]:
    return [p.created]


def replies(p: Person) -> list[datetime]:
    return [event.at for event in p.happened if event.kind == "replied"]


def touches(p: Person) -> list[datetime]:
    theirs = [event.at for event in p.happened if event.human is not False]
    return theirs + [at for _, state, at in p.deliveries if state in ("sent", "bounced")]


def times(key: str, moments: Callable[[Person], list[datetime]]) -> list[Asked]:
    month, a_week_ago = date(2026, 11, 1), since(moments, NOW - 7 * DAY)
    on, after = since(moments, midnight(month)), since(moments, midnight(month + DAY))
    today, tomorrow = since(moments, midnight(TODAY)), since(moments, midnight(TODAY + DAY))
    return [
        (f"{key}:<7d", a_week_ago),
        (f"{key}:<=1w", a_week_ago),
        (f"{key}:>7d", no(a_week_ago)),
        (f"{key}:>=720h", no(since(moments, NOW - 30 * DAY))),
        (f"{key}:>={month}", on),
        (f"{key}:>{month}", after),
        (f"{key}:<{month}", no(on)),
        (f"{key}:<={month}", no(after)),
        (f"{key}:{month}", lambda p: on(p) and not after(p)),
        (f"{key}:today", lambda p: today(p) and not tomorrow(p)),
    ]


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def of_field(key: str, holds: Callable[[str], bool]) -> Truth:
    return lambda p: key in p.entry.fields and holds(p.entry.fields[key])


def happened(kind: str, campaign: int | None) -> Truth:
    def true(p: Person) -> bool:
        human = kind in ("opened", "clicked")
        heard = any(
            e.kind == kind and (e.human is True or not human) and campaign in (None, e.campaign_id) for e in p.happened
        )
        kept = any(state == kind and campaign in (None, number) for number, state, _ in p.deliveries)
        return {"sent": kept, "bounced": kept or heard}.get(kind, heard)

    return true


def agreed(p: Person) -> bool:
    found = [(at, place, given_) for place, (what, given_, at) in enumerate(p.consents) if what.lower() == "newsletter"]
    return bool(found) and max(found)[2]


def big(p: Person) -> bool:
    return said_in("company", "acme")(p) or (p.score or 0) >= 60


ALL = "email first_name last_name company title"
ASKED: list[Asked] = [
    *((f"{word}", said_in(ALL, word)) for word in ("jan", "ZOÉ", "müller", "o'neil", "acme", "1", "łuk", "nobody")),
    *((f'"{words}"', said_in(ALL, words, whole=True)) for words in ("head of", "anna", "north star", "neil")),
    ('"&"', lambda p: False),
    *((f"name:{word}", said_in("first_name last_name", word)) for word in ("jan", "haddad")),
    ('name:"jane doe"', said_in("first_name last_name", "jane doe", whole=True)),
    ("company:glob", said_in("company", "glob")),
    ("title:head", said_in("title", "head")),
    ("email:anna.l", said_in("email", "anna.l")),
    ("email:Jane7@ACME.example", lambda p: p.entry.address == "jane7@acme.example"),
    ("email:old9@acme.example", lambda p: p.alias == "old9@acme.example"),
    ("domain:mail.globex.example", lambda p: p.entry.domain == "globex.example"),
    *((f"stage:{stage.lower()}", lambda p, s=stage: p.entry.stage == s) for stage in STAGES),
    *((f'tag:"{tag}"', lambda p, t=tag: t in p.entry.tags) for tag in ("vip", "Press", "new people", "none")),
    ("score:>=60", lambda p: p.score is not None and p.score >= 60),
    ("score:<60", lambda p: p.score is not None and p.score < 60),
    ("score:0", lambda p: p.score == 0),
    *times("created", created),
    *times("last_reply", replies),
    *times("last_touch", touches),
    ("last_reply:any", lambda p: bool(replies(p))),
    ("last_touch:never", lambda p: not touches(p)),
    ("next:overdue", lambda p: p.due is not None and p.due < TODAY),
    ("next:today", lambda p: p.due == TODAY),
    ("next:none", lambda p: p.due is None),
    ("next:any", lambda p: p.due is not None),
    ("next:<7d", lambda p: p.due is not None and p.due < TODAY + 7 * DAY),
    (f"next:>={TODAY + 7 * DAY}", lambda p: p.due is not None and p.due >= TODAY + 7 * DAY),
    *((f"verified:{word}", lambda p, w=word: p.verified == w) for word in ("valid", "risky", "unknown")),
    ("verified:any", lambda p: bool(p.verified)),
    ("verified:never", lambda p: not p.verified),
    ("suppressed:yes", lambda p: bool(p.suppressed)),
    ("suppressed:no", lambda p: not p.suppressed),
    ("suppressed:bounced", lambda p: p.suppressed == "bounced"),
    ("consent:newsletter", agreed),
    *((f"has:{name}", lambda p, n=name: bool(getattr(p.entry, n))) for name in ("first_name", "company", "phone")),
    ("has:name", lambda p: bool(p.entry.first_name or p.entry.last_name)),
    ("has:tag", lambda p: bool(p.entry.tags)),
    ("has:score", lambda p: p.score is not None),
    ("has:next", lambda p: p.due is not None),
    ("has:field.city", of_field("city", bool)),
    ("field.city:KÖLN", of_field("city", lambda text: text in ("KÖLN", "kÖln"))),
    ("field.city:köln", of_field("city", lambda text: text.lower() == "köln")),
    ("field.likes:tea", of_field("likes", lambda text: "tea" in text.lower().split("; "))),
    ("field.size:50", of_field("size", lambda text: number(text) == 50)),
    ("field.size:many", of_field("size", lambda text: text == "many")),
    ("field.size:>=50", of_field("size", lambda text: (number(text) or 0) >= 50)),
    ("field.size:<9", of_field("size", lambda text: text == "-3")),
    ("field.renewal:<2026-12-01", of_field("renewal", lambda text: text == "2026-11-30")),
    ("field.renewal:<=2026-12-01", of_field("renewal", lambda text: text[:10] in ("2026-11-30", "2026-12-01"))),
    ("field.city:>=2026-12-01", lambda p: False),
    ('segment:"Big ones"', big),
    ("segment:bigger", lambda p: big(p) and "vip" not in p.entry.tags),
    ("import:1", lambda p: p.import_id == 1),
    *((f"{kind}:{n}", happened(kind, n)) for n in (1, 3) for kind in ("sent", "opened", "clicked", "replied")),
    *((f"{kind}:2", happened(kind, 2)) for kind in ("bounced", "unsubscribed", "complained")),
    *((f"{kind}:any", happened(kind, None)) for kind in ("sent", "opened", "clicked", "bounced", "unsubscribed")),
]


def all_of(parts: list[Asked]) -> Asked:
    return " ".join(f"({text})" if " or " in text else text for text, _ in parts), lambda p: all(t(p) for _, t in parts)


def any_of(parts: list[Asked]) -> Asked:
    return " or ".join(text for text, _ in parts), lambda p: any(t(p) for _, t in parts)


def opposite(part: Asked) -> Asked:
    text, truth = part
    return (f"-({text})" if " " in text or text.startswith("-") else f"-{text}"), no(truth)


questions: st.SearchStrategy[Asked] = st.recursive(
    st.sampled_from(ASKED),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(all_of)
        | st.lists(inner, min_size=1, max_size=3).map(any_of)
        | inner.map(opposite)
    ),
    max_leaves=6,
)


PEOPLE = some_people()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    database = open_database(Path(tmp_path_factory.mktemp("reference")) / "aicmo.db")
    database.write(lambda connection: store(connection, PEOPLE))
    yield database
    database.close()


@pytest.fixture(scope="module", autouse=True)
def glances_are_short() -> Iterator[None]:
    """So that among a few hundred people some are beyond a glance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(glance, "PEOPLE", 40)
        yield


def test_every_key_is_asked() -> None:
    asked = {text.partition(":")[0] for text, _ in ASKED if ":" in text}
    assert {key for key in KEYS if key != "field."} <= asked
    assert any(text.startswith("field.") for text, _ in ASKED)


@pytest.mark.parametrize("asked", ASKED, ids=[text for text, _ in ASKED])
def test_one_term_finds_whom_it_should(asked: Asked, db: Database) -> None:
    check(asked, db)
    check(opposite(asked), db)


@settings(max_examples=300, deadline=None)
@given(asked=questions)
def test_terms_together_find_whom_they_should(asked: Asked, db: Database) -> None:
    check(asked, db)


def check(asked: Asked, db: Database) -> None:
    query, truth = asked
    expected = [person.id for person in PEOPLE if truth(person)]

    def ask(connection: sqlite3.Connection) -> None:
        selection = select(connection, query, now=NOW)
        assert list(contacts.ids(connection, selection)) == expected
        total = contacts.count(connection, selection)
        assert total == len(expected)
        where, parameters = selection.where()
        found = connection.execute(f"SELECT id FROM contact WHERE {where} ORDER BY id", parameters)
        assert [row[0] for row in found] == expected
        for offset in {0, 1, total // 2, max(total - LIMIT, 0)}:
            for known in (None, total):
                rows = contacts.window(connection, selection, offset, LIMIT, total=known)
                assert [row.id for row in rows] == expected[offset : offset + LIMIT]

    db.read(ask)


def test_a_relative_time_is_that_of_the_reading() -> None:
    a_day_later = parse_query("created:<1d", now=NOW + DAY)
    assert parse_query("created:<2d", now=NOW + 2 * DAY) == a_day_later != parse_query("created:<1d", now=NOW)
