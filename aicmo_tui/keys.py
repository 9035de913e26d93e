"""Keys: every binding has an id (people remap by it), a description and a tooltip.

Letters, digits, arrows, function keys and plain ctrl letters only; none that terminals or multiplexers take for
themselves (ctrl+h, i, j, m, s). Anything needed while typing has a key that types nothing.
"""

from __future__ import annotations

from dataclasses import replace

from textual.binding import Binding

from aicmo_tui.screens import OVER, SCREENS


def key(
    id: str, keys: str, action: str, description: str, tooltip: str, *, show: bool = True, shown_as: str | None = None
) -> Binding:
    """A binding. ``show`` puts it in the footer, which holds the four to six that matter now."""
    return Binding(keys, action, description, id=id, tooltip=tooltip, show=show, key_display=shown_as)


def over(*names: str, show: bool = True) -> list[Binding]:
    """The keys that open these screens over the one that offers them."""
    return [
        key(f"app.{name}", entry.key, f"app.open_over('{name}')", entry.title.lower(), entry.answers, show=show)
        for name, entry in OVER.items()
        if name in names
    ]


def app_bindings() -> list[Binding]:
    """The keys that work everywhere, those of the screens walked from their table."""
    screens = [
        key(
            f"app.{mode}",
            f"{entry.key},{entry.key.removeprefix('f')}",
            f"show_screen('{mode}')",
            entry.title,
            entry.answers,
            show=False,
            shown_as=entry.key.upper(),
        )
        for mode, entry in SCREENS.items()
    ]
    return [
        key("app.help", "f1,question_mark", "toggle_help", "help", "What the keys do here", shown_as="F1"),
        # Ahead of what else escape does on a screen: the help was opened last.
        replace(key("app.close_help", "escape", "close_help", "close", "Close the help", show=False), priority=True),
        key("app.palette", "ctrl+p", "command_palette", "everything", "Find any screen, verb or person", show=False),
        key("app.quit", "ctrl+q", "quit", "quit", "Leave; a send under way asks first", show=False),
        *screens,
    ]
