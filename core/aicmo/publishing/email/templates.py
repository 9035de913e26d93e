"""A draft compiled once, filled for many.

Markdown becomes HTML once, while the template's own marks are held aside, so that no contact's field is ever read as
Markdown, as HTML or as a template. Filling is strict: a field that a contact does not have is an error that names it,
unless the template gives a default. A body that names neither ``unsubscribe`` nor ``postal_address`` gets the standard
footer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aicmo.errors import TemplateInvalid
from aicmo.publishing.email.links import tag_links
from aicmo.publishing.email.marks import HELD, Marks
from aicmo.publishing.email.plaintext import html_to_text
from aicmo.store.contents import Draft
from aicmo.text import one_line

if TYPE_CHECKING:
    from jinja2 import Environment, Template

ALWAYS_GIVEN = frozenset({"sender", "campaign", "unsubscribe", "postal_address"})
"""What a template may use besides the contact's own fields."""
MOST_TIMES = 1_000
"""How often a template may repeat a text, and the greatest exponent."""

_BODY_END = re.compile(r"(?:</div>\s*)?</body>", re.IGNORECASE)
_BLANK_LINES = re.compile(r"\n{3,}")
_UNDEFINED = re.compile(r"no attribute '(\w+)'|'(\w+)' is undefined")
_LONE_BLOCK = re.compile(rf"<p>((?:\s*{HELD.pattern}\s*)+)</p>")
_STYLES = re.compile(r"<style\b.*?</style>", re.DOTALL | re.IGNORECASE)

_PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ margin: 0; padding: 24px; font-family: -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; font-size: 16px;
       line-height: 1.5; color: #1c1c1e; background-color: #ffffff; }}
.text {{ max-width: 600px; margin: 0 auto; }}
.footer {{ font-size: 13px; color: #6b6b70; border-top: 1px solid #d8d8dc; margin-top: 32px; padding-top: 12px; }}
</style></head><body><div class="text">
{body}
</div></body></html>
"""
_PREHEADER = '<div style="display:none;max-height:0;overflow:hidden">{preheader}</div>\n'
_FOOTER = {
    "unsubscribe": '<a href="{{ unsubscribe }}">Unsubscribe</a>',
    "postal_address": "{{ sender.name }}, {{ postal_address }}",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """One message's words."""

    subject: str
    text: str
    html: str


class MessageTemplate:
    """A compiled draft. ``fill`` it for each recipient; ``variables`` says what it asks of a contact."""

    def __init__(self, draft: Draft, link_parameters: Mapping[str, str] = MappingProxyType({})) -> None:
        """``link_parameters`` are added to the links (see ``links``). Raises ``TemplateInvalid``."""
        draft = replace(draft, body=_STYLES.sub(_without_comment_marks, draft.body))
        _refuse_unreadable(draft)
        marks = Marks()
        page = tag_links(_page(draft, marks), link_parameters, marks)
        page = _with_footer(page, marks)
        html = marks.restore(page)
        self._subject = _compile(_environment(html=False), draft.subject, "subject")
        self._text = _compile(_environment(html=False), marks.restore(html_to_text(page)), "body")
        self._html = _compile(_environment(html=True), html, "body")
        self._globals = dict(self._html.globals)
        self.variables = frozenset(_variables(draft.subject) | _variables(html)) - ALWAYS_GIVEN
        """The contact's fields it uses, with or without a default."""

    def fill(self, values: Mapping[str, object]) -> Filled:
        """The words for one recipient; ``values`` holds filled fields only. Raises ``TemplateInvalid``."""
        known = {**self._globals, **values}
        return Filled(
            subject=one_line(_render(self._subject, known)),
            text=_BLANK_LINES.sub("\n\n", _render(self._text, known)).strip() + "\n",
            html=_render(self._html, known),
        )


def _page(draft: Draft, marks: Marks) -> str:
    """The whole HTML page, styles inlined; ``marks`` holds the template's."""
    import css_inline

    body = marks.hold(draft.body)
    if draft.format == "markdown":
        body = _LONE_BLOCK.sub(r"\1", _markdown(body))
    if "<html" not in body.lower():
        body = _PAGE.format(body=body)
    if draft.preheader:
        hidden = _PREHEADER.format(preheader=_escape(marks.hold(draft.preheader)))
        body = re.sub(r"(?i)(<body[^>]*>)", lambda tag: tag[0] + hidden, body, count=1)
    try:
        return css_inline.inline(body, load_remote_stylesheets=False, keep_at_rules=True)
    except css_inline.InlineError as error:
        raise TemplateInvalid(f"The styles of the body cannot be read: {one_line(str(error), limit=200)}.") from None


def _without_comment_marks(styles: re.Match[str]) -> str:
    """``{#id`` in a style sheet is no comment of the template's; with a space it means the same to both."""
    return styles[0].replace("{#", "{ #")


def _markdown(source: str) -> str:
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").render(source))


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _with_footer(page: str, marks: Marks) -> str:
    """Add what the body does not name itself: the way out and the postal address (CAN-SPAM, 15 U.S.C. 7704(a)(5))."""
    used = _variables(marks.restore(page))
    missing = [html_of for name, html_of in _FOOTER.items() if name not in used]
    if not missing:
        return page
    style = "font-size:13px;color:#6b6b70;border-top:1px solid #d8d8dc;margin-top:32px;padding-top:12px;"
    footer = f'<p class="footer" style="{style}">{marks.hold("<br>".join(reversed(missing)))}</p>\n'
    ends = list(_BODY_END.finditer(page))
    at = ends[-1].start() if ends else len(page)
    return page[:at] + footer + page[at:]


@cache
def _environment(*, html: bool) -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Bounded(ImmutableSandboxedEnvironment):
        """A slip of the author's takes neither all memory nor minutes."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            times = [each for each in (left, right) if isinstance(each, int)]
            grows = operator == "**" or len(times) == 1  # a text or a list, so many times
            if grows and any(abs(each) > MOST_TIMES for each in times):
                raise SecurityError(f"{max(times, key=abs):,} times is too often")
            return super().call_binop(context, operator, left, right)

    class Missing(StrictUndefined):
        """Using it is an error; asking whether it is there (``{% if company %}``) is the author's care."""

        __slots__ = ()

        def __bool__(self) -> bool:  # type: ignore[override]  # its parent raises
            return False

    return Bounded(undefined=Missing, autoescape=html, keep_trailing_newline=True)


def _variables(source: str) -> set[str]:
    from jinja2 import TemplateSyntaxError, meta

    try:
        return set(meta.find_undeclared_variables(_environment(html=False).parse(source)))
    except TemplateSyntaxError as error:
        raise _syntax(error, "text") from None


def _refuse_unreadable(draft: Draft) -> None:
    """Look at each part as its author wrote it, because only there an error stands in a line that they know."""
    for part in ("subject", "preheader", "body"):
        _compile(_environment(html=False), getattr(draft, part), part, as_written=True)


def _compile(environment: Environment, source: str, part: str, *, as_written: bool = False) -> Template:
    from jinja2 import TemplateSyntaxError

    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise _syntax(error, part, source if as_written else "") from None


def _syntax(error: Any, part: str, source: str = "") -> TemplateInvalid:
    """``source`` is what the author wrote, where it is that in which the error was found."""
    where, said = _place(error, source) if source else ("", error.message)
    return TemplateInvalid(
        f"The {part} has a template error{where}: {_sentence(said)}",
        hint="Fields are written {{ first_name }}, with a default {{ first_name | default('there') }}.",
    )


def _place(error: Any, source: str) -> tuple[str, str]:
    """Where in ``source`` the error is, and what is wrong there. A mark that is never closed is noticed only behind it,
    so its beginning is told."""
    source = source.replace("\r\n", "\n")
    mark, at = _unclosed(source)
    line = source.count("\n", 0, at) + 1
    if mark and line <= error.lineno:
        return f" in line {line}, column {at - source.rfind(chr(10), 0, at)}", f"{mark} is never closed"
    return f" in line {error.lineno}", error.message


def _unclosed(source: str) -> tuple[str, int]:
    """The mark that is open where the reading of ``source`` ends, and where it begins; an empty one: none is."""
    from jinja2 import TemplateSyntaxError

    mark, begins, at = "", 0, 0
    with suppress(TemplateSyntaxError):
        for _, kind, value in _environment(html=False).lex(source):
            at = source.find(value, at)
            if kind.endswith("_begin"):
                mark, begins = value, at
            elif kind.endswith("_end"):
                mark = ""
            at += len(value)
    return mark, begins


def _sentence(said: object) -> str:
    """What the template language says, which ends now with a full stop and now without."""
    return one_line(str(said), limit=200).rstrip(".") + "."


def _render(template: Template, known: dict[str, Any]) -> str:
    """What ``template.render`` does, without copying for each part of a message what is ``known``, and the names that
    every template knows, which only an ``import`` needs."""
    from jinja2 import TemplateError, UndefinedError

    try:
        environment = template.environment
        context = environment.context_class(environment, known, template.name, template.blocks)
        return "".join(template.root_render_func(context))
    except UndefinedError as error:
        found = _UNDEFINED.search(str(error.message))
        name = (found[1] or found[2]) if found else "a field"
        hint = f"Fill it in, or give a default: {{{{ {name} | default('…') }}}}"
        raise TemplateInvalid(f"{name} is missing.", hint=hint) from None
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        # A template is a small program of its author's; whatever it does wrong is the template's fault.
        raise TemplateInvalid(f"The template fails: {_sentence(error)}") from None
