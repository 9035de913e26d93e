"""What to do about it, as the app says it: a hint that names a verb of the command line names the key instead.

What only the command line can do is said as a command line here too; the app has no key for it.
"""

from __future__ import annotations

from aicmo.errors import AicmoError, VerbHint

KEYS = {
    "campaign ab": "o and z, on its variants (F6, v)",
    "campaign approve": "a, on the campaign (F6)",
    "campaign create": "ctrl+g, in the composer (F5)",
    "campaign list": "F6",
    "campaign resume": "space, on the campaign (F6)",
    "campaign show": "the campaign (F6)",
    "campaign step": "its steps (F6, n)",
    "campaign variant": "its variants (F6, v)",
    "company list": "the companies (o, in F4)",
    "contact duplicates": "the duplicates (u, in F4)",
    "contact edit": "e, on the person (F4)",
    "contact list": "the filter of F4",
    "contact merge": "m, in the duplicates (u, in F4)",
    "contact next": "n, on the person (F4)",
    "contact show": "the person (F4)",
    "contact why": "w, on the person (F4)",
    "content create": "ctrl+n, in the composer (F5)",
    "content list": "ctrl+l, in the composer (F5)",
    "content notes": "beside the preview (F5)",
    "health": "F3",
    "redo": "ctrl+y, in F4",
    "segment create": "s, on a filter (F4)",
    "undo": "ctrl+z, in F4",
}
"""A verb, without what it is said of -> where the app has it."""


def hint_in_app(hint: str) -> str:
    """``Go on with: space, on the campaign (F6)``; any other hint as it is."""
    if not isinstance(hint, VerbHint):
        return hint
    words = hint.verb.split()
    where = KEYS.get(" ".join(words[:2])) or KEYS.get(words[0])
    return f"{hint.words}: {where}." if where else hint


def told_in_app(error: AicmoError) -> str:
    """What is wrong and what to do about it, on one line."""
    return f"{error.message} {hint_in_app(error.hint)}".rstrip()
