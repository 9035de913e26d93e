"""The same for many people: tag, set or clear a field, move in the lifecycle, enrich, export, delete.

Each verb asks what it has to know, shows what it would do, and is one step of undo.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aicmo.crm.editing import field_key
from aicmo.errors import InvalidInput
from aicmo.store.contacts import STAGES
from aicmo.store.tags import split_tags
from aicmo_tui.present import BAD, TITLE, line, number, people, value
from aicmo_tui.screens.changing import Whom, change, delete, wait_for
from aicmo_tui.screens.conflict import named
from aicmo_tui.widgets.dialogs import Ask, confirm
from aicmo_tui.widgets.picker import Picker
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

OWN = ("first_name", "last_name", "company", "title", "phone")
OTHER = ""
"""A custom field that nobody gave a type; its name is asked for."""


async def bulk(app: AicmoApp, whom: Whom) -> bool:
    """Ask what is to be done with them, and do it; whether anybody was changed."""
    title = f"{whom.said}: what?"
    verb = await app.push_screen_wait(Picker(title, [(label, run) for label, run in VERBS.items()]))
    return False if verb is None else await verb(app, whom)


async def tag(app: AicmoApp, whom: Whom) -> bool:
    """Add tags, and take away those with a ``-`` before them."""
    question = line(("Tag ", TITLE), value(whom.said, TITLE), ": with commas between; - before one takes it away")
    typed = await app.push_screen_wait(Ask(question, "trial, -vip", check=tags))
    values = tags(typed)
    taken, added = (
        [key.removeprefix("tag.") for key, text in values.items() if not text],
        list(filter(None, values.values())),
    )
    told = [f"{verb} {', '.join(names)}" for verb, names in (("Tag", added), ("Untag", taken)) if names]
    return bool(values) and await change(app, whom, " · ".join(told), values)


def tags(typed: str) -> dict[str, str]:
    """``trial, -vip`` in the words of ``changes.State``. Raises ``InvalidInput``."""
    names = split_tags(typed)
    taken = {f"tag.{name[1:].strip()}": "" for name in names if name.startswith("-")}
    return {key: text for key, text in taken.items() if key != "tag."} | {
        f"tag.{name}": name for name in names if not name.startswith("-")
    }


async def set_field(app: AicmoApp, whom: Whom) -> bool:
    name = await _field(app, "Set which field?")
    if not name:
        return False
    text = await app.push_screen_wait(Ask(line(value(named(name), TITLE), " of ", value(whom.said)), "its new value"))
    return bool(text) and await change(app, whom, f"Set {named(name)} to “{text}”", {name: text})


async def clear_field(app: AicmoApp, whom: Whom) -> bool:
    name = await _field(app, "Clear which field?")
    return bool(name) and await change(app, whom, f"Clear {named(name)}", {name: ""})


async def _field(app: AicmoApp, title: str) -> str:
    """A field's key as ``changes.State`` has it; empty when the person chose none."""
    custom = await off_loop(app, app.workspace.fields.list)
    choices = [(named(name), name) for name in OWN] + [(each.title, f"field.{each.key}") for each in custom]
    chosen = await app.push_screen_wait(Picker(title, [*choices, ("another one ...", OTHER)]))
    if chosen != OTHER:
        return chosen or ""
    typed = await app.push_screen_wait(Ask(line(("Which field?", TITLE)), "city"))
    return field_key(typed) if typed else ""


async def set_stage(app: AicmoApp, whom: Whom) -> bool:
    stage = await app.push_screen_wait(Picker("Which stage?", [(each, each) for each in STAGES]))
    return bool(stage) and await change(app, whom, f"Move to {stage}", {"stage": stage})


async def enrich(app: AicmoApp, whom: Whom) -> bool:
    """Ask providers about them; what that needs is loaded when it is first wanted."""
    enriching = await off_loop(app, lambda: import_module("aicmo_tui.screens.enriching"))
    return bool(await enriching.ask_providers(app, whom))


async def export(app: AicmoApp, whom: Whom) -> bool:
    """Write them into a CSV file. It changes nobody."""
    question = line(("Export ", TITLE), value(whom.said), " to which file?")
    typed = await app.push_screen_wait(Ask(question, "people.csv", check=_place))
    if not typed:
        return False
    file = await off_loop(app, lambda: _place(typed))
    question = line("Write ", (people(len(whom.ids)), TITLE), " to ", value(str(file), TITLE), "?")
    warned = line(("It is there already, and is written anew.", BAD)) if file.exists() else None
    command = None
    if whom.argument is not None:
        command = shlex.join(["aicmo", "contact", "export", "--to", str(file), "--", whom.argument])
    if await app.push_screen_wait(confirm(question, "Write", details=warned, command=command)):
        crm = app.workspace.crm
        written = await wait_for(app, line("Writing ..."), lambda: crm.export(whom.ids, file))
        app.tell(f"{number(written)} written: {file}")
    return False


def _place(typed: str) -> Path:
    """Raises ``InvalidInput`` when nothing can be written there."""
    file = Path(typed).expanduser().absolute()
    if not file.parent.is_dir():
        raise InvalidInput(f"There is no folder {file.parent}.")
    return file


VERBS: Mapping[str, Callable[[AicmoApp, Whom], Awaitable[bool]]] = {
    "tag or untag": tag,
    "set a field": set_field,
    "clear a field": clear_field,
    "move in the lifecycle": set_stage,
    "ask providers": enrich,
    "export as CSV": export,
    "delete": delete,
}
