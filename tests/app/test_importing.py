"""Importing in the app: the plan is seen and changed before it is done, and what was done is taken back."""

from __future__ import annotations

from pathlib import Path

from driving import app_on, reads, text_of
from textual.widgets import Button

from aicmo.workspace import Workspace
from aicmo_tui.screens.importing import run_import, undo_import


async def test_a_plan_is_seen_changed_done_and_undone(empty: Workspace, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(
        "Email,First name,Wer\nann@acme.example,Anna,vip\nbob@acme.example,[/Bob],\nnobody,X,\n", encoding="utf-8"
    )
    empty.crm.add("ann@acme.example", first_name="Ann")
    app = app_on(empty)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("f4", "i")
        await reads(pilot, "from which file?")
        app.screen.query_one("Input").value = str(tmp_path / "people.csv")
        await pilot.press("enter")
        await reads(pilot, "Import 2 people", "first_name stays Ann, not Anna", "Wer → wer", "create")
        await reads(pilot, "reject", "no @", "fill empty fields only")
        await pilot.press("right", "right", "enter")
        await reads(pilot, "Policy: overwrite", "changes first_name")
        await pilot.press("right", "right", "right", "enter")
        await reads(pilot, "which field is it?")
        app.screen.query_one("Input").value = "Wer=tags"
        await pilot.press("enter")
        await reads(pilot, "Wer → tags", "changes first_name, tag vip")
        await pilot.press("right", "enter")
        await reads(pilot, "Imported", "1 new · 1 with something added · 1 rejected")
        assert empty.crm.get("ann@acme.example").tags == ("vip",)
        await pilot.press("right", "enter")
        await reads(pilot, "Delete the 1 person it created, and put back the 1?")
        await pilot.press("right", "enter")
        await reads(pilot, "Undone", "2 people put back or deleted")
        assert [(each.email, each.first_name, each.tags) for each in empty.crm.list()] == [
            ("ann@acme.example", "Ann", ())
        ]
        assert isinstance(app.focused, Button)


async def test_the_rejected_rows_of_a_json_file_are_not_those_of_the_csv_beside_it(
    empty: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "people.json").write_text('[{"email": "nowhere"}]')
    app = app_on(empty)
    async with app.run_test(size=(120, 50)):
        done = await run_import(app, tmp_path / "people.json", mapping={}, policy="fill", dry_run=False)
        (tmp_path / "people.csv").write_text("email\nnowhere\n")
        beside = await run_import(app, tmp_path / "people.csv", mapping={}, policy="fill", dry_run=False)
    assert done.rejected_file is not None and done.rejected_file.parent == empty.paths.data_dir
    assert done.rejected_file.name.startswith("people.json.") and done.rejected_file != beside.rejected_file


async def test_an_undo_that_leaves_somebody_says_who_and_why(empty: Workspace, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("Email,First name\nann@acme.example,Anna\nbob@acme.example,Bob\n")
    empty.crm.add("ann@acme.example")
    app = app_on(empty)
    async with app.run_test(size=(120, 50)) as pilot:
        done = empty.crm.import_file(tmp_path / "people.csv")
        empty.crm.edit_all("ann@acme.example", {"first_name": "Annie"})
        empty.crm.edit_all("bob@acme.example", {"stage": "ENGAGED"})
        app.run_worker(undo_import(app, done))
        await reads(pilot, "Delete the 1 person it created")
        await pilot.press("right", "enter")
        await reads(pilot, "ann@acme.example: first name stays “Annie”, and is not empty again.")
        await reads(pilot, "bob@acme.example stays, because of what came since: stage.")


async def test_files_of_one_name_from_two_folders_keep_their_rejected_rows_apart(
    empty: Workspace, tmp_path: Path
) -> None:
    app = app_on(empty)
    written = []
    async with app.run_test(size=(120, 50)):
        for folder in ("spring", "autumn", "spring"):
            (tmp_path / folder).mkdir(exist_ok=True)
            file = tmp_path / folder / "people.csv"
            file.write_text(f"email\nnowhere in {folder}\n")
            written.append((await run_import(app, file, mapping={}, policy="fill", dry_run=False)).rejected_file)
    spring, autumn, again = written
    assert "nowhere in spring" in spring.read_text() and "nowhere in autumn" in autumn.read_text()
    assert again == spring  # one file has one, however often it is imported


async def test_a_preview_does_not_talk_of_the_command_line(empty: Workspace, tmp_path: Path) -> None:
    empty.crm.add("ann@acme.example", first_name="Ann")
    (tmp_path / "people.csv").write_text("Email,First name\nann@acme.example,Anna\n")
    app = app_on(empty)
    async with app.run_test(size=(120, 50)) as pilot:
        await pilot.press("f4", "i")
        await reads(pilot, "from which file?")
        app.screen.query_one("Input").value = str(tmp_path / "people.csv")
        await pilot.press("enter")
        await reads(pilot, "1 row is in conflict with what is there", "Another policy settles the conflicts")
        assert "dry run" not in text_of(app)
