"""The health screen, on a real store whose states came about through the real registry."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from driving import app_on, reads, steady, text_of, until
from sample import NOW, FrozenClock
from textual.widgets import Button
from trouble import HOSTILE_ERROR, Life, open_healthy, open_services, open_troubled

from aicmo.config import load_config
from aicmo.gateways import Applied, Attempt, Outcome
from aicmo.paths import Paths
from aicmo.sandbox import start_sandbox
from aicmo.workspace import Workspace, open_workspace
from aicmo_tui import present
from aicmo_tui.app import AicmoApp
from aicmo_tui.screens.health import line_of
from aicmo_tui.widgets.dialogs import Ask, Choose, Notice
from aicmo_tui.widgets.lazy_table import LazyTable

STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def troubled(tmp_path: Path) -> Iterator[Workspace]:
    with open_troubled(tmp_path) as workspace:
        yield workspace


@pytest.fixture
def healthy(tmp_path: Path) -> Iterator[Workspace]:
    with open_healthy(tmp_path) as workspace:
        yield workspace


async def at(pilot: Any, provider: str) -> None:
    """Put the cursor on ``provider``."""
    app = pilot.app
    await until(pilot, lambda: app.screen.query_one(LazyTable).total)
    await pilot.press("home")
    for _ in range(20):
        await until(pilot, lambda: app.screen.at is not None)
        if app.screen.at.name == provider:
            return
        await pilot.press("down")
        await pilot.pause()
    raise AssertionError(f"{provider} is not there")


def row_of(app: AicmoApp, name: str) -> str:
    return next(line for line in text_of(app).splitlines() if re.search(rf"\b{name}\b", line))


# --- what it says -----------------------------------------------------------------------------------------------------


async def test_each_state_is_a_word_with_a_glyph_and_says_what_is_waited_for(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "inbox", "hook")
        assert re.search(r"✕ blocked 47:00 · auth", row_of(app, "smtp-main"))
        assert re.search(r"✕ blocked 9 h · quota", row_of(app, "apollo"))
        assert "◐ probing" in row_of(app, "dropcontact")
        assert "✕ disabled 27:00" in row_of(app, "mx")
        assert "▲ cooling 0:44 · rate limited" in row_of(app, "airtable")
        assert re.search(r"▲ cooling 0:\d\d · transient", row_of(app, "inbox"))
        assert "○ no data" in row_of(app, "hook")


async def test_it_says_who_serves_since_when_and_where_nobody_does(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "smtp-spare")
        assert "◂ 13 min" in row_of(app, "smtp-spare")
        assert "✕ nobody" in row_of(app, "mx")
        await at(pilot, "smtp-spare")
        await reads(pilot, "in place of the first choice", "since 13:52:00 · nobody else does")


async def test_the_provider_under_the_cursor_says_what_to_do_its_last_error_quota_and_budget(
    troubled: Workspace,
) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await reads(pilot, "[providers.smtp-main]", "13:52:00 auth 535 5.7.8", "0 of 500 today", "tried again 14:52:00")
        await at(pilot, "apollo")
        await reads(pilot, "0 credits left of 2,000", "quota 402 insufficient credits")
        await at(pilot, "mx")
        await reads(pilot, "by hand until 14:32:00, 27:00 left; r ends it")


async def test_it_says_what_the_trouble_cost_and_which_process_saw_it(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await reads(pilot, "cost so far", "214 sent elsewhere, 1 wasted, 0 unknown", "seen by: aicmo run, pid 4121")
        await pilot.press("l")
        await reads(pilot, "Seen by", "aicmo run, pid 4121")


async def test_what_this_app_did_itself_needs_no_witness(healthy: Workspace) -> None:
    await healthy.registry.disable("mx", NOW + timedelta(minutes=5))
    app = app_on(healthy)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "by hand, for 5 min")
        assert "seen by" not in text_of(app)
        await at(pilot, "mx")
        await reads(pilot, "by hand until 14:10:00, 5:00 left; r ends it", "since 14:05:00")


async def test_times_in_advice_are_the_clocks_here(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "apollo")
        await reads(pilot, "22:54:00 (in 9 h).")
        assert "UTC" not in text_of(app)


async def test_records_that_were_refused_again_and_again_are_shown_shortened(healthy: Workspace) -> None:
    refused = Attempt("airtable", Outcome.INPUT, Applied.NO, code="422", detail="Unknown field name: Titel")
    airtable = next(each for each in healthy.self_check.providers if each.name == "airtable")
    for name in ("bob", "eve", "zoe"):
        admission = await healthy.registry.admit(airtable)
        await healthy.registry.record(airtable, refused, admission, concerning=f"{name}@one.example")
    app = app_on(healthy)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "airtable")
        await reads(pilot, "Correct these records", "e…@one.example: 422 Unknown field name: Titel")
        assert "bob@" not in text_of(app)


async def test_the_bars_are_those_of_real_calls(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(160, 40)) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "inbox")
        assert "···" in row_of(app, "inbox")


async def test_at_80_by_24_enter_shows_all_that_is_known(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await pilot.press("enter")
        await reads(pilot, "checked    12 s ago: well", "budget     0 of 500 today")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Choose))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_what_a_server_said_neither_steers_the_terminal_nor_is_read_as_markup(
    size: tuple[int, int], troubled: Workspace
) -> None:
    app = app_on(troubled)
    async with app.run_test(size=size, notifications=True) as pilot:
        app.action_show_screen("health")
        await at(pilot, "inbox")
        await steady(pilot)
        assert "[@click=app.quit]Bob[/]oops" in text_of(app)
        assert all(len(line) == size[0] for line in text_of(app).splitlines())
        for panel in ("#about", "#log"):
            await pilot.click(panel, offset=(30, 1))
        await pilot.press("enter")
        await steady(pilot)
        assert not STEERING.search(text_of(app))
        await pilot.press("escape", "l")
        await until(pilot, lambda: app.screen.query_one(LazyTable).total)
        await steady(pilot)
        assert not STEERING.search(text_of(app))
        assert HOSTILE_ERROR[:20] in text_of(app)
        assert app.is_running


ELSEWHERE = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from aicmo.clock import SYSTEM_CLOCK
from aicmo.gateways import Applied, Attempt, HealthRegistry, Outcome
from aicmo.gateways.providers.smtp import SmtpProvider
from aicmo.store.health import HealthDb

async def main(path):
    store = HealthDb(Path(path))
    registry = HealthRegistry(store)
    provider = SmtpProvider("smtp-main", SmtpProvider.Settings(host="127.0.0.1", port=9, security="none"))
    refused = Attempt("smtp-main", Outcome.AUTH, Applied.NO, code="535", detail="seen by another run")
    await registry.record(provider, refused, await registry.admit(provider))
    await registry.close()
    store.close()

asyncio.run(main(sys.argv[1]))
"""


async def test_what_another_process_learns_appears_by_itself(healthy: Workspace) -> None:
    import asyncio
    import time

    app = app_on(healthy)
    async with app.run_test(size=(120, 40)) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "● ok")
        command = [sys.executable, "-c", ELSEWHERE, str(healthy.paths.health_database)]
        await asyncio.to_thread(subprocess.run, command, check=True)
        written = time.monotonic()
        await reads(pilot, "✕ blocked", "seen by another run", "◂")
        assert time.monotonic() - written < 2
        assert "◂" in row_of(app, "smtp-spare")


# --- a person's word --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "word"), [("f", "forced"), ("d", "disabled")])
async def test_a_word_is_confirmed_with_cancel_in_focus_and_stands_for_half_an_hour(
    key: str, word: str, healthy: Workspace
) -> None:
    app = app_on(healthy)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await reads(pilot, "smtp-main for email sending?", "r ends it sooner")
        assert isinstance(app.focused, Button) and str(app.focused.label) == "Cancel"
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, Choose))
        assert healthy.registry.states()["smtp-main"].override == ""

        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press("right", "enter")
        await reads(pilot, word, "30:00", "by hand until 14:35:00")
        state = healthy.registry.states()["smtp-main"]
        assert state.override == word
        assert state.override_until is not None and (state.override_until - NOW).total_seconds() == 1_800


async def test_disabling_says_who_serves_meanwhile_or_that_nobody_does(healthy: Workspace) -> None:
    app = app_on(healthy)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await pilot.press("d")
        await reads(pilot, "Meanwhile smtp-spare serves email sending.")
        await pilot.press("escape")
        await at(pilot, "mx")
        await pilot.press("d")
        await reads(pilot, "Nobody else serves email verification")


async def test_a_word_names_every_capability_that_it_touches(tmp_path: Path) -> None:
    chains = {"lead_enrichment": ["apollo", "dropcontact"], "email_verification": ["dropcontact"]}
    with open_services(tmp_path, chains) as workspace:
        life = Life(workspace)
        await life.meets("dropcontact", Outcome.OK, minutes_ago=1)
        await life.close()
        app = app_on(workspace)
        async with app.run_test(size=(80, 24)) as pilot:
            app.action_show_screen("health")
            await at(pilot, "dropcontact")
            await reads(pilot, "is served by apollo")
            assert "Add a second provider" not in text_of(app)  # that is a matter of the other chain
            await pilot.press("d")
            await reads(
                pilot,
                "Disable dropcontact for lead enrichment and email verification?",
                "Meanwhile apollo serves lead enrichment.",
                "Nobody else serves email verification",
            )
            await pilot.press("escape", "down")
            await reads(pilot, "Add a second provider")


async def test_a_reset_is_confirmed_and_puts_it_back_in_service(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "smtp-main")
        await pilot.press("r")
        await reads(pilot, "Put smtp-main back in service", "It is ✕ blocked now.")
        await pilot.press("escape")
        await pilot.pause()
        assert troubled.registry.states()["smtp-main"].state == "blocked"
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press("right", "enter")
        await until(pilot, lambda: "◂" in row_of(app, "smtp-main"))
        assert troubled.registry.states()["smtp-main"].state == "ok"


async def test_nothing_is_offered_that_would_do_nothing(healthy: Workspace, empty: Workspace) -> None:
    async with app_on(empty).run_test() as pilot:
        pilot.app.action_show_screen("health")
        await reads(pilot, "No service is set.")
        assert not {"probe", "edit", "force", "disable", "reset"} & offered(pilot.app)
    async with app_on(healthy).run_test() as pilot:
        pilot.app.action_show_screen("health")
        await at(pilot, "smtp-main")
        assert {"probe", "force", "disable"} <= offered(pilot.app)
        assert not {"reset", "edit"} & offered(pilot.app)  # it is well, and there is no file


def offered(app: AicmoApp) -> set[str]:
    return {binding.action for _, binding, enabled, _ in app.screen.active_bindings.values() if enabled}


# --- probing ----------------------------------------------------------------------------------------------------------


async def test_a_probe_asks_the_provider_itself_under_the_shared_lease(tmp_path: Path) -> None:
    with start_sandbox(tmp_path / "sandbox") as sandbox:
        workspace = open_on(tmp_path, sandbox.smtp["smtp-a"].port)
        app = app_on(workspace)
        async with workspace, app.run_test(size=(120, 40), notifications=True) as pilot:
            app.action_show_screen("health")
            await reads(pilot, "○ no data")
            await pilot.press("p")
            await reads(pilot, "main answers, in", "● ok", "checked 0 s ago")


async def test_a_probe_of_one_that_is_gone_says_what_it_said_and_is_counted(tmp_path: Path) -> None:
    workspace = open_on(tmp_path, 9)
    app = app_on(workspace)
    async with workspace, app.run_test(size=(120, 40), notifications=True) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "○ no data")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, Notice))
        await reads(pilot, "main does not do well: transient")
        assert workspace.registry.states()["main"].consecutive_failures == 1


async def test_one_that_is_not_due_is_not_asked_and_it_says_so(troubled: Workspace) -> None:
    app = app_on(troubled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.action_show_screen("health")
        await at(pilot, "apollo")
        await pilot.press("p")
        await reads(pilot, "apollo was not asked")


async def test_a_probe_that_costs_something_asks_first(healthy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from aicmo.gateways.providers.mx import MxProvider

    monkeypatch.setattr(MxProvider, "check_cost", "1 credit")
    app = app_on(healthy)
    async with app.run_test(size=(80, 24)) as pilot:
        app.action_show_screen("health")
        await at(pilot, "mx")
        await pilot.press("p")
        await reads(pilot, "That costs 1 credit.", "Spend 1 credit")
        assert str(app.focused.label) == "Cancel"
        before = healthy.services.self_checks.known()["mx"]
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Choose))
        assert healthy.services.self_checks.known()["mx"] == before


def open_on(folder: Path, port: int) -> Workspace:
    """A workspace with one mail server, and a configuration file that says so."""
    file = folder / "config.toml"
    file.write_text(
        '[sender]\nname = "Ada"\n\n[chains]\nemail_sending = ["main"]\n\n[providers.main]\n'
        f'kind = "smtp"\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
    )
    paths = Paths(file, folder / "data")
    return open_workspace(paths, load_config(file, environ={}), clock=FrozenClock())


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_e_opens_the_configuration_at_the_provider_and_reads_what_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    editor = tmp_path / "nano"
    editor.write_text(f'#!/bin/sh\necho "$1" > {seen}\necho "frobs = 1" >> "$2"\n')
    editor.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(editor))
    with open_on(tmp_path, 9) as workspace:
        app = app_on(workspace)
        monkeypatch.setattr(app, "suspend", nullcontext)  # a test has no terminal to give away
        async with app.run_test(size=(80, 24)) as pilot:
            app.action_show_screen("health")
            await at(pilot, "main")
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Notice))
            await reads(pilot, "providers.main.frobs is not a setting")
            assert seen.read_text() == "+7\n"


def test_a_block_is_found_however_its_name_is_written() -> None:
    config = '[providers.a]\n[providers.main-2]\n [ providers."main" ] # ours\n'
    assert [line_of(config, name) for name in ("a", "main-2", "main", "none")] == [1, 2, 3, 1]


@pytest.mark.parametrize("name", ["health.csv", "health.json"])
async def test_what_is_shown_is_written_to_a_new_private_file(name: str, troubled: Workspace, tmp_path: Path) -> None:
    path = tmp_path / name
    app = app_on(troubled)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        app.action_show_screen("health")
        await reads(pilot, "smtp-main")
        for said in ("Written:", "is there already"):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            app.screen.query_one("Input").value = str(path)
            await pilot.press("enter")
            await reads(pilot, said)
    text = path.read_text(encoding="utf-8")
    records = json.loads(text)["providers"] if name.endswith("json") else list(csv.DictReader(text.splitlines()))
    assert [each["provider"] for each in records][:2] == ["smtp-main", "smtp-spare"]
    assert records[0]["last_error"] == "535 5.7.8 Authentication failed [/foo]"
    assert path.stat().st_mode & 0o077 == 0
    assert not STEERING.search(text.replace("\n", ""))


async def test_a_damaged_store_is_said_and_the_screen_stands(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "health.db").write_bytes(b"this is no database " * 500)
    with open_services(tmp_path) as workspace:
        app = app_on(workspace)
        async with app.run_test(size=(120, 40)) as pilot:
            app.action_show_screen("health")
            await reads(pilot, "smtp-main", "Provider health is not shared")


def test_a_countdown_counts_to_the_second_while_that_matters() -> None:
    assert [present.countdown(s) for s in (-3, 0, 43.2, 61, 3_599, 3_600, 90_000)] == [
        "0:00", "0:00", "0:44", "1:01", "59:59", "1 h", "1 d",
    ]  # fmt: skip


def test_a_sparkline_begins_at_zero_and_marks_what_failed() -> None:
    assert present.sparkline([0, 50, 100], 5).plain == "  ▁▅█"
    assert present.sparkline([100, None, 100], 3).plain == "█·█"
    assert present.sparkline([None, None], 2).plain == "··"
    assert present.sparkline([100], 3).plain == ""
    assert present.sparkline(list(range(100)), 8).cell_length == 8
