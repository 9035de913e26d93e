"""Companies are their people, by registrable domain; a mail service is none."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from aicmo.crm import CRMRepository
from aicmo.crm.companies import Companies
from aicmo.errors import NotFound
from aicmo.store import Database, events, suppressions
from aicmo.store.suppressions import SuppressionReason

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def companies(db: Database, crm: CRMRepository) -> Companies:
    crm.add("ann@mail.acme.example", company="Acme", stage="ENGAGED")
    crm.add("bob@acme.example", company="Acme", stage="VERIFIED")
    crm.add("cy@acme.example", company="ACME Inc")
    crm.add("di@globex.example", company="Globex")
    crm.add("eve@gmail.com", company="Acme")
    ann = crm.get("ann@mail.acme.example")

    def work(connection: sqlite3.Connection) -> None:
        events.add(connection, events.Event(ann.id, "replied", NOW, human=True))
        events.add(connection, events.Event(ann.id, "opened", datetime(2026, 11, 23, tzinfo=UTC), human=False))
        suppressions.add(connection, "cy@acme.example", SuppressionReason.BOUNCED, "a mail", NOW)

    db.write(work)
    return Companies(db)


def test_a_company_is_its_people_their_coverage_and_the_last_touch(companies: Companies) -> None:
    acme, globex = companies.list()
    assert (acme.domain, acme.name, acme.people, acme.verified, acme.engaged, acme.suppressed) == (
        "acme.example",
        "Acme",
        3,
        2,
        1,
        1,
    )
    assert acme.last_touch.startswith("2026-11-22"), "a machine's open is no touch"
    assert (globex.people, globex.last_touch) == (1, "")
    assert companies.count() == 2


def test_a_company_is_found_by_its_name_or_domain(companies: Companies) -> None:
    assert [each.domain for each in companies.list("inc")] == ["acme.example"]
    assert [each.domain for each in companies.list("glob")] == ["globex.example"]
    assert companies.list("100%_") == ()


@pytest.mark.parametrize("spelled", ["acme.example", "www.Acme.example", "bob@acme.example", "mail.acme.example"])
def test_a_company_is_named_by_any_spelling_of_its_domain(companies: Companies, spelled: str) -> None:
    assert companies.get(spelled).people == 3
    assert [each.email for each in companies.people("acme.example")] == [
        "ann@mail.acme.example",
        "bob@acme.example",
        "cy@acme.example",
    ]


def test_a_company_is_found_by_a_host_under_a_suffix_of_two_labels(companies: Companies, crm: CRMRepository) -> None:
    crm.add("fay@acme.co.uk")
    assert companies.get("Mail.acme.co.uk").domain == "acme.co.uk"


@pytest.mark.parametrize(("domain", "hint"), [("gmail.com", "mail service"), ("nobody.example", "company list")])
def test_a_mail_service_is_no_company(companies: Companies, domain: str, hint: str) -> None:
    with pytest.raises(NotFound) as failed:
        companies.get(domain)
    assert hint in failed.value.hint
