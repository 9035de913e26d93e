"""Companies: a window on all of them, found as one types, with their people beside the list."""

from __future__ import annotations

import pytest
from driving import app_on, reads, text_of, until

from aicmo.crm.companies import Companies, Directory
from aicmo.errors import StoreLocked
from aicmo.store.companies import Company
from aicmo.workspace import Workspace
from aicmo_tui.screens.companies import coverage

SIZES = [(80, 24), (118, 36)]


@pytest.fixture
def companies(empty: Workspace) -> Workspace:
    add = empty.crm.add
    for number in range(4):
        stage = ("ENGAGED", "VERIFIED", "NEW", "NEW")[number]
        add(f"p{number}@acme.example", first_name=f"Person {number}", company="Acme Ltd", stage=stage)
    add("di@globex.example", first_name="Diana", company="Globex")
    add("eve@gmail.com", first_name="Eve", company="Acme Ltd")
    return empty


@pytest.mark.parametrize("size", SIZES)
async def test_companies_stand_by_size_with_their_coverage(companies: Workspace, size: tuple[int, int]) -> None:
    app = app_on(companies)
    async with app.run_test(size=size) as pilot:
        await pilot.press("o")
        await reads(pilot, "AICMO · Companies", "Acme Ltd", "██▓▓▓░░░░░  50%", "Globex")
        assert "gmail.com" not in text_of(app)
        assert text_of(app).index("Acme") < text_of(app).index("Globex")


async def test_a_company_is_found_as_one_types_by_its_name_or_domain(companies: Workspace) -> None:
    app = app_on(companies)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("o")
        await reads(pilot, "Globex")
        table = app.screen.table
        await pilot.press("slash", *"ltd")
        await until(pilot, lambda: table.total == 1 and table.row.domain == "acme.example")
        app.screen.query_one("#filter").value = "obex"
        await until(pilot, lambda: table.total == 1 and table.row.domain == "globex.example")
        app.screen.query_one("#filter").value = "nowhere"
        await reads(pilot, "No company like that.")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: table.total == 2)
        await pilot.press("escape")
        await reads(pilot, "AICMO · Home")


async def test_its_people_stand_beside_it_and_enter_opens_them(companies: Workspace) -> None:
    app = app_on(companies)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("f4", "o")
        await reads(pilot, "acme.example · 4 people", "2 verified (50.0%)", "1 in touch", "Person 3")
        await pilot.press("down")
        await reads(pilot, "globex.example · 1 person", "Diana")
        await pilot.press("enter")
        await reads(pilot, "AICMO · Contacts", "di@globex.example")
        assert app.screen.query_one("#filter").value == "domain:globex.example"
        await until(pilot, lambda: app.screen.table.total == 1)


async def test_on_a_narrow_screen_its_people_come_over_the_list(companies: Workspace) -> None:
    app = app_on(companies)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o")
        await reads(pilot, "Globex")
        await pilot.press("p")
        await reads(pilot, "acme.example · 4 people", "Person 3")
        await pilot.press("escape")
        await reads(pilot, "Globex")
        await pilot.press("p")
        await reads(pilot, "Person 1")
        await pilot.press("down", "enter")
        await reads(pilot, "AICMO · Contacts", "p1@acme.example")


async def test_somebody_who_comes_by_another_program_shows(companies: Workspace) -> None:
    app = app_on(companies)
    async with app.run_test(size=(118, 36)) as pilot:
        await pilot.press("o")
        await reads(pilot, "Globex")
        companies.crm.add("new@initech.example", company="Initech")
        await reads(pilot, "Initech")
        companies.crm.edit_all("di@globex.example", {"stage": "VERIFIED"})
        await reads(pilot, "▓▓▓▓▓▓▓▓▓▓ 100%")


async def test_no_company_is_said(empty: Workspace) -> None:
    app = app_on(empty)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o")
        await reads(pilot, "No company yet.")
        await until(pilot, lambda: text_of(app).splitlines()[-1].split("F1")[0].strip() == "")
        await pilot.press("enter", "p", "c", "escape", "escape")
        await reads(pilot, "AICMO · Home")


async def test_companies_that_cannot_be_read_are_no_empty_list(companies: Workspace) -> None:
    class Locked(Companies):
        def directory(self) -> Directory:
            raise StoreLocked("The database is locked [/foo].")

    companies.companies = Locked(companies.db)
    app = app_on(companies)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("o")
        await reads(pilot, "That could not be read.", "The database is locked [/foo].")


@pytest.mark.parametrize(
    ("engaged", "verified", "shown"),
    [
        (0, 0, "░░░░░░░░░░   0%"),
        (1, 1, "█░░░░░░░░░  <1%"),
        (0, 999, "▓▓▓▓▓▓▓▓▓░ >99%"),
        (500, 1_000, "█████▓▓▓▓▓ 100%"),
    ],
)
def test_a_bar_is_empty_only_for_none_and_full_only_for_all(engaged: int, verified: int, shown: str) -> None:
    assert coverage(Company("a.example", "A", 1_000, verified, engaged, 0, "")).plain == shown
