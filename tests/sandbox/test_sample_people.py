from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from aicmo.sandbox.people import HOSTILE_FIRST_NAMES, sample_people, write_csv


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    assert list(sample_people(seed=7)) == list(sample_people(seed=7))
    assert list(sample_people(seed=7)) != list(sample_people(seed=8))


def test_addresses_are_all_different_and_under_example() -> None:
    emails = [who.email for who in sample_people(5000)]

    assert len(set(emails)) == 5000
    assert all(email.isascii() and email.endswith(".example") for email in emails)


def test_companies_are_shared_and_keep_their_domain() -> None:
    people = list(sample_people())
    domains = {who.company: who.email.partition("@")[2] for who in people}

    assert all(who.email.endswith("@" + domains[who.company]) for who in people)
    assert len(set(domains.values())) == len(domains) > 15
    assert max(Counter(who.company for who in people).values()) > 10


def test_every_hostile_name_is_there_however_few_people_are_asked_for() -> None:
    for count in (len(HOSTILE_FIRST_NAMES), 50, 300):
        names = [who.first_name for who in sample_people(count)]
        assert len(names) == count
        assert [name for name in names if name in HOSTILE_FIRST_NAMES] == list(HOSTILE_FIRST_NAMES)


def test_tags_have_believable_shares() -> None:
    people = list(sample_people(3000))
    share = {tag: sum(tag in who.tags for who in people) / 3000 for tag in ("newsletter", "trial", "customer", "vip")}

    assert 0.5 < share["newsletter"] < 0.7
    assert 0.2 < share["trial"] < 0.3
    assert 0.25 < share["customer"] < 0.35
    assert 0.02 < share["vip"] < 0.08
    assert not any({"trial", "customer"} <= set(who.tags) for who in people)
    assert all("customer" in who.tags for who in people if "vip" in who.tags)


def test_the_csv_holds_the_same_people(tmp_path: Path) -> None:
    write_csv(tmp_path / "people.csv", count=40, seed=3)

    with open(tmp_path / "people.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)

    assert header == ["E-mail", "First name", "Last name", "Company", "Job title", "Tags", "City"]
    assert rows == [
        [who.email, who.first_name, who.last_name, who.company, who.title, ", ".join(who.tags), who.city]
        for who in sample_people(40, 3)
    ]
