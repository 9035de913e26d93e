"""Contacts: find anyone, see what is known of them and why they are where they are, change one or many.

The list is a window on the store, however long it is; the filter is the store's own query language, asked as one types.
What others change, in this program or another, shows by itself; an edit under way is never touched by it.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from sqlite3 import Connection

from textual import on
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from aicmo.errors import InvalidInput, QueryInvalid
from aicmo.store.contacts import Contact
from aicmo.store.listing import Listed
from aicmo_tui.keys import key, over
from aicmo_tui.present import BAD, MUTED, TITLE, line, number, people, value
from aicmo_tui.screens.bulk import bulk, enrich, export, tag
from aicmo_tui.screens.changing import Whom, redo, save, undo
from aicmo_tui.screens.contact_form import ContactForm
from aicmo_tui.screens.contact_pane import ContactPane
from aicmo_tui.screens.contact_view import UNREADABLE, last_touch, nobody, receipts, score
from aicmo_tui.screens.found import Found
from aicmo_tui.screens.frame import Frame
from aicmo_tui.screens.importing import import_people
from aicmo_tui.screens.planning import plan, write_note
from aicmo_tui.screens.segments import pick_segment, save_segment
from aicmo_tui.widgets.columns import Column
from aicmo_tui.widgets.dialogs import Choose
from aicmo_tui.widgets.inputs import PlainInput
from aicmo_tui.widgets.lazy_table import LazyTable
from aicmo_tui.widgets.pointer import Pointer
from aicmo_tui.work import ask, converse, off_loop


class ContactsScreen(Frame):
    MODE = "contacts"
    CSS_PATH = "contacts.tcss"
    HELP = """## Contacts
Type a filter after `/`: words find names, companies and addresses; `tag:trial`, `stage:new`, `domain:acme.example` and
`-tag:vip` narrow it. `s` saves the filter as a segment, `g` filters by one.

`enter` goes to the person: their story is below what is known of them, `f` shows one part of it, `/` looks for words.
`[` and `]` go to the previous and the next person. `e` edits, `n` plans the next action, `N` writes a note, `w` tells
why they are in their stage.

`space` selects, `a` selects everyone the filter finds; `t` tags them, `b` does more with them. `ctrl+z` takes back what
was done last, `ctrl+y` does it again. `x` exports what is shown, `y` copies what is shown as a command line.

`u` finds who is in the list twice, `o` opens the companies."""
    BINDINGS = [
        key("contacts.filter", "slash", "filter", "filter", "Find people as you type", shown_as="/"),
        key("contacts.edit", "e", "edit", "edit", "Change what is known of this person"),
        key("contacts.bulk", "b", "bulk", "bulk", "Change everyone selected, or everyone the filter finds"),
        key("contacts.next", "n", "plan", "next", "Plan what to do next with this person", show=False),
        key("contacts.tag", "t", "tag", "tag", "Tag this person, or everyone selected", show=False),
        key("contacts.import", "i", "import", "import", "Bring people from a file", show=False),
        key("contacts.why", "w", "why", "why", "Why this person is in their stage", show=False),
        key("contacts.note", "N", "note", "note", "Write a note about this person", show=False),
        key("contacts.write", "c", "write", "write to them", "Write to everyone the filter finds", show=False),
        key("contacts.save", "s", "save_segment", "save filter", "Save the filter as a segment", show=False),
        key("contacts.segments", "g", "pick_segment", "segments", "Filter by a segment", show=False),
        key("contacts.all", "a", "select_all", "all", "Select everyone the filter finds, or nobody", show=False),
        key("contacts.export", "x", "export", "export", "Write everyone the filter finds to a CSV file", show=False),
        key("contacts.enrich", "r", "enrich", "ask providers", "Ask providers who they are", show=False),
        key("contacts.sync", "S", "sync", "keep in step", "Bring both sides together with Airtable", show=False),
        key("contacts.copy", "y", "copy", "copy", "Copy what is shown as a command line", show=False),
        *over("duplicates", "companies", show=False),
        key("contacts.undo", "ctrl+z", "undo", "undo", "Take back what was changed last", show=False),
        key("contacts.redo", "ctrl+y", "redo", "redo", "Do again what was undone last", show=False),
        key("contacts.before", "left_square_bracket,ctrl+up", "step(-1)", "previous", "The person before", show=False),
        key("contacts.after", "right_square_bracket,ctrl+down", "step(1)", "next", "The next person", show=False),
        key("contacts.back", "escape", "back", "back", "Back to the list; once more clears the filter", show=False),
    ]

    def body(self) -> Iterable[Widget]:
        columns = [
            Column("Name", 16, lambda row: value(row.contact.name), grow=3),
            Column("Address", 22, lambda row: value(row.contact.email), grow=4),
            Column("Company", 12, lambda row: value(row.contact.company), priority=3, grow=2),
            Column("Stage", 12, lambda row: value(row.contact.stage, MUTED), priority=1),
            Column("Score", 5, lambda row: score(row.score), priority=4, right=True),
            Column("Last", 6, lambda row: last_touch(row, self.workspace.clock.now()), priority=2, right=True),
        ]
        table = LazyTable(
            columns, key_of=lambda row: row.contact.id, selectable=True, refused=self._refuse, id="people"
        )
        filter = PlainInput(placeholder="all", id="filter", compact=True)
        with Horizontal(id="filter-line"):
            yield Static(line(("/ ", MUTED)), id="filter-mark")
            yield filter
            yield Static(id="found")
        yield Pointer(filter)
        with Horizontal():
            with Vertical(classes="list"):
                yield table
            yield ContactPane(id="pane")

    def on_mount(self) -> None:
        super().on_mount()
        self._exact = False
        self._refused = False
        self._begun = False
        self._from_the_list = True  # where an edit began is where it ends
        self.follow(self._look, unless=lambda: self.table.replacing)

    @property
    def table(self) -> LazyTable[Listed]:
        return self.query_one("#people", LazyTable)

    @property
    def pane(self) -> ContactPane:
        return self.query_one(ContactPane)

    @property
    def filter(self) -> Input:
        return self.query_one("#filter", PlainInput)

    # --- finding ----------------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        self.remove_class("-side-shown")
        self.filter.focus()

    def action_back(self) -> None:
        """One step out: of the person, of a part of their story, of the filter."""
        if self.pane.has_focus_within or self.has_class("-side-shown"):
            if self.pane.narrowed():
                self.pane.show_all()
                return
            self.remove_class("-side-shown")
        elif not self.filter.has_focus:
            self.filter.value = ""
        self.table.focus()

    def action_import(self) -> None:
        converse(self, self._import)

    async def _import(self) -> None:
        if await import_people(self.app):
            self.filter.value = ""
            self._find("")

    def action_write(self) -> None:
        self.app.write_to(self.filter.value)

    def action_save_segment(self) -> None:
        converse(self, lambda: save_segment(self.app, self.filter.value))

    def action_pick_segment(self) -> None:
        converse(self, self._pick_segment)

    async def _pick_segment(self) -> None:
        query = await pick_segment(self.app)
        if query is not None:
            self.filter.value = query

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        if self.table.all_selected:
            self.table.select(())  # it was everyone whom another question found
        self._find(event.value)

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.table.focus()

    def show_person(self, email: str) -> None:
        """Find exactly this one, from elsewhere in the app."""
        self.filter.value = email
        self.table.focus()

    def _find(self, query: str) -> None:
        """A query that cannot be read is said beneath it; the list stays as it was."""
        try:
            found = Found(self.workspace, query)
        except QueryInvalid as error:
            self._refuse(error)
            return
        self._refused = False
        self.query_one(Pointer).rest()
        self.table.set_empty(nobody(query))
        self.table.show(found)

    def _refuse(self, error: InvalidInput) -> None:
        """It stands there until the filter changes; a count that comes late belongs to an earlier one."""
        self._refused = True
        self.query_one(Pointer).point(error)
        self._say(line(("✕ the list is as it was", BAD)))
        self.table.set_empty(UNREADABLE)

    # --- what others change -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        """For the first time, and whenever the store was written to since, by whomever."""
        if self._begun:
            self._look_again()
        else:
            self._begun = True
            self._find(self.filter.value)

    def _look_again(self) -> None:
        """Read again what is shown; cursor, selection and an edit under way stay."""
        with contextlib.suppress(QueryInvalid):  # it is being typed, and what is wrong with it is shown
            self.table.reload(Found(self.workspace, self.filter.value))
        self.pane.look_again()
        if self.table.selected:
            chosen = frozenset(self.table.selected)
            ask(
                self, "selected", lambda: self.workspace.db.read(lambda db: those_left(db, chosen)), self._keep_selected
            )

    def _keep_selected(self, left: frozenset[int]) -> None:
        """Who was deleted is selected no more."""
        if not self.table.selected <= left:
            self.table.select(self.table.selected & left)

    # --- showing ----------------------------------------------------------------------------------------------------

    @on(LazyTable.Counted, "#people")
    def _counted(self, event: LazyTable.Counted) -> None:
        self._exact = event.exact
        self._say_how_many()

    @on(LazyTable.Selected, "#people")
    def _say_how_many(self) -> None:
        if self._refused:
            return
        table = self.table
        found = number(table.total) if self._exact else f"{number(table.total)} or more"
        chosen = "all" if table.all_selected else number(len(table.selected)) if table.selected else ""
        selected = line((f"{chosen} selected · ", "$text-accent")) if chosen else line("")
        self._say(selected + line((found, TITLE)))

    def _say(self, what: Content) -> None:
        """Beside the filter, in a place of one width: a key must not have the whole screen arranged anew."""
        self.query_one("#found", Static).update(what, layout=False)

    @on(LazyTable.Moved, "#people")
    def _moved(self, event: LazyTable.Moved) -> None:
        self.pane.show(event.row)

    @on(LazyTable.Opened, "#people")
    def _opened(self) -> None:
        self.add_class("-side-shown")
        self.pane.story.focus()

    def action_step(self, people: int) -> None:
        """To another person without leaving this one's place; an edit is finished first, and goes on with them."""
        if self.pane.form is None:
            self.table.action_move(people)
        else:
            converse(self, lambda: self._edit_another(people))

    def action_copy(self) -> None:
        row = self.table.row
        if self.pane.has_focus_within and row is not None:
            command = shlex.join(["aicmo", "contact", "show", row.contact.email])
        else:
            command = shlex.join(["aicmo", "contact", "list", "--", self.filter.value]).removesuffix(" -- ''")
        self.app.copy_to_clipboard(command)
        self.app.tell(f"Copied: {command}")

    # --- one person -------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While somebody is edited, what would change people elsewhere waits; without anybody, what is about them."""
        if not self.is_mounted:  # the footer asks while the rest is still being built
            return True
        if self.pane.form is not None and action in WAITS_FOR_THE_FORM:
            return False
        return self.table.total > 0 or action not in ABOUT_PEOPLE

    def action_edit(self) -> None:
        converse(self, self._edit)

    def action_why(self) -> None:
        self._about_one(self._tell_why)

    def action_plan(self) -> None:
        self._about_one(lambda contact: plan(self.app, contact))

    def action_note(self) -> None:
        self._about_one(lambda contact: write_note(self.app, contact))

    def _about_one(self, conversation: Callable[[Contact], Awaitable[bool]]) -> None:
        row = self.table.row
        if row is not None:
            self._then_look(lambda: conversation(row.contact))

    def _then_look(self, conversation: Callable[[], Awaitable[bool]]) -> None:
        """A conversation; whatever it changed is shown at once."""

        async def run() -> None:
            if await conversation():
                self._look_again()

        converse(self, run)

    async def _tell_why(self, contact: Contact) -> bool:
        why = await off_loop(self.app, lambda: self.workspace.timeline.why(contact.id))
        who = line(value(contact.name or contact.email, TITLE), " is ", value(why.stage, TITLE))
        told = Choose(who, {"": "Close"}, details=receipts(why, self.workspace.clock.now()))
        await self.app.push_screen_wait(told)
        return False

    # --- editing ----------------------------------------------------------------------------------------------------

    async def _edit(self) -> None:
        row = self.table.row
        if row is None or self.pane.form is not None:
            return
        number = row.contact.id
        known = await off_loop(self.app, lambda: (self.workspace.crm.portrait(number), self.workspace.fields.list()))
        self._from_the_list = not self.has_class("-side-shown")
        self.add_class("-side-shown", "-editing")
        await self.pane.begin_edit(known[0].contact, known[1])
        self.refresh_bindings()

    @on(ContactForm.Save)
    def _save(self, event: ContactForm.Save) -> None:
        converse(self, lambda: self._save_form(event.form, leaves=event.leaves))

    @on(ContactForm.Leave)
    def _leave(self, event: ContactForm.Leave) -> None:
        converse(self, lambda: self._finish(event.form))

    async def _save_form(self, form: ContactForm, *, leaves: bool) -> bool:
        """Whether it is saved."""
        mine, base = form.mine(), form.base
        done = await save(self.app, base, mine) if mine else None
        if mine and done is None:
            return False
        if mine:
            self.app.tell("Saved. ctrl+z takes it back." if done and done.changed else "It was like that already.")
        if leaves:
            await self._end_edit()
        else:
            form.rebase((await off_loop(self.app, lambda: self.workspace.crm.portrait(base.id))).contact)
        self._look_again()
        return True

    async def _finish(self, form: ContactForm) -> bool:
        """End the editing; what is not saved is asked about. Whether it has ended."""
        if form.changed:
            question = line("What you changed of ", value(form.base.name or form.base.email, TITLE), " is not saved.")
            answers = {"": "Go on editing", "save": "Save", "drop": "Drop it"}
            answer = await self.app.push_screen_wait(Choose(question, answers))
            if answer == "save":
                return form.right() and await self._save_form(form, leaves=True)
            if answer != "drop":
                return False
        await self._end_edit()
        return True

    async def _end_edit(self) -> None:
        self.remove_class("-editing")
        await self.pane.end_edit()
        self.refresh_bindings()
        if self._from_the_list:
            self.remove_class("-side-shown")
            self.table.focus()
        else:
            self.pane.story.focus()

    async def _edit_another(self, people: int) -> None:
        form, from_the_list = self.pane.form, self._from_the_list
        if form is not None and await self._finish(form):
            self.table.action_move(people)
            await self._edit()
            self._from_the_list = from_the_list

    # --- many -------------------------------------------------------------------------------------------------------

    def action_select_all(self) -> None:
        table = self.table
        table.select((), everything=not (table.all_selected or table.selected) and table.total > 0)

    def action_tag(self) -> None:
        self._then_look(lambda: self._with_many(tag, alone=True))

    def action_bulk(self) -> None:
        self._then_look(lambda: self._with_many(bulk))

    def action_sync(self) -> None:
        self._then_look(self._sync)

    async def _sync(self) -> bool:
        """What that needs is loaded when it is first wanted."""
        syncing = await off_loop(self.app, lambda: import_module("aicmo_tui.screens.syncing"))
        return bool(await syncing.sync_people(self.app))

    def action_enrich(self) -> None:
        self._then_look(lambda: self._with_many(enrich))

    def action_export(self) -> None:
        self._then_look(lambda: self._with_found(export))

    def action_undo(self) -> None:
        self._then_look(lambda: undo(self.app))

    def action_redo(self) -> None:
        self._then_look(lambda: redo(self.app))

    async def _with_many(self, verb: Verb, *, alone: bool = False) -> bool:
        """With those selected; else with the one under the cursor (``alone``), or everyone the filter finds."""
        table, row = self.table, self.table.row
        if table.selected:
            ids = sorted(int(str(each)) for each in table.selected)
            return await verb(self.app, Whom(ids, f"{people(len(ids))} selected"))
        if alone and not table.all_selected and row is not None:
            contact = row.contact
            return await verb(self.app, Whom([contact.id], contact.name or contact.email, contact.email))
        return await self._with_found(verb)

    async def _with_found(self, verb: Verb) -> bool:
        """With everyone the filter finds at this moment."""
        query = self.filter.value
        ids = await off_loop(self.app, Found(self.workspace, query).ids)
        if not ids:
            self.app.tell("Nobody is found, so there is nobody to do it to.")
            return False
        return await verb(
            self.app, Whom(ids, f"all {people(len(ids))} found" if len(ids) > 1 else "the one found", query)
        )


Verb = Callable[..., Awaitable[bool]]
WAITS_FOR_THE_FORM = frozenset({"undo", "redo", "edit", "bulk", "tag", "select_all", "filter", "plan"})


ABOUT_PEOPLE = frozenset({"edit", "bulk", "tag", "plan", "note", "why", "select_all", "export", "enrich", "step"})


def those_left(db: Connection, ids: frozenset[int]) -> frozenset[int]:
    """Who of them is still there."""
    rows = db.execute("SELECT id FROM contact WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
    return frozenset(row[0] for row in rows)
