"""The command palette: every screen and every verb of the moment, and the people by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.command import Hit, Hits, Provider
from textual.screen import Screen

from aicmo_tui.present import MUTED, line, value
from aicmo_tui.screens import OVER, SCREENS
from aicmo_tui.work import off_loop

if TYPE_CHECKING:
    from aicmo_tui.app import AicmoApp

PEOPLE_SHOWN = 8


def system_commands(app: AicmoApp, screen: Screen[Any]) -> Iterable[SystemCommand]:
    """The screens from their tables, then the keys that work on this screen, then what the app itself can do."""
    for mode, entry in SCREENS.items():
        yield SystemCommand(f"Go to {entry.title}", entry.answers, lambda mode=mode: app.action_show_screen(mode))
    for name, entry in OVER.items():
        yield SystemCommand(f"Go to {entry.title}", entry.answers, lambda name=name: app.action_open_over(name))
    offered = set()  # an action with two keys is one verb; the toolkit's own keys have no id, the screens stand above
    for node, binding, enabled, _ in screen.active_bindings.values():
        known = binding.id is None or (node, binding.action) in offered or binding.action.startswith("app.open_over(")
        of_screen = node is screen or binding.action.startswith("screen.")
        if enabled and not known and (binding.show or of_screen) and node is not app:
            offered.add((node, binding.action))
            yield SystemCommand(
                binding.description.capitalize(),
                binding.tooltip,
                lambda node=node, action=binding.action: app.run_worker(app.run_action(action, node), group="palette"),
            )
    yield SystemCommand("Help", "What the keys do here", app.action_toggle_help)
    yield SystemCommand("Theme", "Change the colours", app.action_change_theme)
    yield SystemCommand(
        "Picture of this screen", "Save it as an SVG", lambda: app.set_timer(0.1, app.deliver_screenshot)
    )
    yield SystemCommand(
        "Quit", "Leave; a send under way asks first", lambda: app.run_worker(app.action_quit, group="palette")
    )


class People(Provider):
    """Contacts, found as the contacts screen finds them."""

    async def search(self, query: str) -> Hits:
        app: AicmoApp = self.app  # type: ignore[assignment]
        crm = app.workspace.crm
        matcher = self.matcher(query)
        found = await off_loop(app, lambda: crm.list(query, limit=PEOPLE_SHOWN))
        for contact in found:
            name = line(value(contact.name or contact.email), "  ", value(contact.email, MUTED))
            yield Hit(
                max(matcher.match(name.plain), 0.1),
                name,
                lambda email=contact.email: app.show_contact(email),
                help="Open this contact",
            )
