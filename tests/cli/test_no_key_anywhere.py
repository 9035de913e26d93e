"""A canary in the place of every key, refused by everybody and repeated in their answers: it comes out nowhere.

Walked by table: the screens as pictures, the verbs in each form, what is exported, what is written when something
breaks, and every file that is left.
"""

from __future__ import annotations

import asyncio
import base64
import re
from html import unescape
from pathlib import Path

import pytest
from commandline import CALLS, VERBS, CommandLine, arguments, write_config
from test_health_verb import everybody

from aicmo.config import load_config
from aicmo.log import logging_to
from aicmo.paths import find_paths
from aicmo.sandbox import Fault, RunningSandbox
from aicmo.workspace import Workspace, open_workspace
from aicmo_tui.app import AicmoApp
from aicmo_tui.screens import SCREENS
from aicmo_tui.screens.home import HomeScreen
from aicmo_tui.widgets.lazy_table import LazyTable

OWNERS = ("apollo", "dropcontact", "airtable", "inbox", "hook", "path", "smtp")
CANARIES = {name: f"c4nary{name}7731" for name in OWNERS}
"""Without a sign at which a line could be broken: a picture may wrap it anywhere, so all space is taken out first."""
ECHOING = {"apollo": "apollo", "dropcontact": "dropcontact", "airtable": "airtable", "hook": "webhook"}
"""Whose key is repeated by which of the sandbox's HTTP servers."""
LOOKS = ("list", "count", "show", "check", "preview", "deliveries")
READS = [verb for verb in VERBS if verb.rpartition(" ")[2] in LOOKS]
READS += ["contact export", "config path", "report summary", "run", "health"]


def forms(name: str) -> list[str]:
    """As it is, and for the mail servers as AUTH PLAIN and LOGIN send it."""
    canary = CANARIES[name]
    sent = (f"\0ada\0{canary}", canary) if name == "smtp" else ()
    return [canary, *(base64.b64encode(each.encode()).decode() for each in sent)]


def found_in(text: str) -> list[str]:
    closed_up = re.sub(r"\s", "", text)
    return [name for name in CANARIES if any(form in closed_up for form in forms(name))]


@pytest.fixture
def canary_home(in_filled_home: Path, sandbox: RunningSandbox) -> Path:
    """The filled home with every provider set up, each with a key that it will refuse."""
    text = everybody(sandbox, **{**CANARIES, "path": f"/{CANARIES['path']}"})
    text = text.replace("connections", f'username = "ada"\npassword = "{CANARIES["smtp"]}"\nconnections')
    write_config(in_filled_home / "config.toml", text)
    http = [
        Fault("request", "reply", server=server, status=401, body=f'{{"error": "{CANARIES[owner]} is wrong"}}')
        for owner, server in ECHOING.items()
    ]
    told = " ".join(forms("smtp"))
    sandbox.set_faults([*http, Fault("auth", "reply", reply=f"535 5.7.8 {told} is wrong")])
    return in_filled_home


def open_home() -> Workspace:
    paths = find_paths(config=None, data_dir=None)
    return open_workspace(paths, load_config(paths.config_file, required=True))


def left_by(home: Path) -> dict[str, str]:
    """Every file but the configuration itself."""
    return {
        str(file.relative_to(home)): file.read_bytes().decode("utf-8", "replace")
        for file in home.rglob("*")
        if file.is_file() and file.name != "config.toml"
    }


def text_of_picture(svg: str) -> str:
    return unescape(re.sub(r"<[^>]*>", "", svg))


async def test_no_picture_of_any_screen_shows_a_key(canary_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with logging_to(find_paths(config=None, data_dir=None).log_file):
        async with open_home() as workspace:
            await workspace.self_check.check_all()
            seen = await photographed(AicmoApp(workspace, sends=False), monkeypatch)
    assert set(seen) == {*SCREENS, "an exception"}
    assert "401" in text_of_picture(seen["health"]) or "auth" in text_of_picture(seen["health"])
    for name, svg in seen.items():
        assert found_in(svg) == [] and found_in(text_of_picture(svg)) == [], name
    left = left_by(canary_home)
    assert "ZeroDivisionError" in left["data/aicmo.log"]
    assert any(name.endswith("-wal") for name in left) or {"data/aicmo.db", "data/health.db"} <= set(left)
    assert {name: found_in(content) for name, content in left.items() if found_in(content)} == {}


async def photographed(app: AicmoApp, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The screens by name, each after its first rows were looked into; and what an exception in one looks like."""
    seen = {}
    async with app.run_test(size=(160, 50)) as pilot:
        for mode in SCREENS:
            app.action_show_screen(mode)
            for _ in range(10):
                await pilot.pause()
                asked = [worker for worker in app.workers if worker.group.startswith("ask:")]
                await asyncio.gather(*(worker.wait() for worker in asked), return_exceptions=True)
            for table in app.screen.query(LazyTable):
                table.focus()
                await pilot.press("down", "up")
            seen[mode] = app.export_screenshot()

        def boom(*_: object) -> None:
            password = CANARIES["smtp"]
            raise ZeroDivisionError(f"{len(password)} letters")

        app.action_show_screen("home")
        monkeypatch.setattr(HomeScreen, "key_z", boom, raising=False)
        app.screen.set_focus(None)
        await pilot.press("z")
        await pilot.pause()
        seen["an exception"] = app.export_screenshot()
        assert "ZeroDivisionError" in text_of_picture(seen["an exception"]).replace("\xa0", " ")
    return seen


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]], ids=["text", "json", "csv"])
def test_no_verb_that_reads_tells_a_key(
    form: list[str], aicmo: CommandLine, canary_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AICMO_DEBUG", "1")
    aicmo("health", code=None)
    said = ""
    for verb in READS:
        words, _ = arguments(verb, canary_home) if verb in CALLS else (verb.split(), 0)
        answer = aicmo(*words, *form, "--yes", code=None)
        said += answer.out + answer.err
    assert found_in(said) == []
    assert {name: found_in(content) for name, content in left_by(canary_home).items() if found_in(content)} == {}


@pytest.mark.parametrize(
    "words",
    [
        ["contact", "export", "", "--csv"],
        ["health", "--prometheus", "{home}/aicmo.prom"],
        ["health", "--status", "--json"],
        ["campaign", "test", "2", "--json"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_nothing_that_is_exported_or_refused_holds_a_key(
    words: list[str], aicmo: CommandLine, canary_home: Path
) -> None:
    aicmo("health", code=None)
    said = aicmo(*(word.format(home=canary_home) for word in words), code=None)
    assert found_in(said.out + said.err) == []
    assert {name: found_in(content) for name, content in left_by(canary_home).items() if found_in(content)} == {}
