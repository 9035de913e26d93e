"""The verbs over sequences: their steps, and who is where in them.

A running sequence can be changed. Every edit has a plan that says beforehand what becomes of the people inside, and the
words of each step are approved like those of any campaign before anybody gets them.
"""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aicmo.clock import SYSTEM_CLOCK, Clock
from aicmo.crm.segments import select
from aicmo.errors import ApprovalNeeded, IllegalTransition, InvalidInput, VerbHint
from aicmo.publishing.preflight import CheckReport
from aicmo.publishing.sequences.advancing import condition, following
from aicmo.publishing.sequences.editing import Add, Change, Edit, Plan, consequences, edited
from aicmo.publishing.variants import refuse_unsendable
from aicmo.store import Database, campaigns, contents, messages, sequences, variants
from aicmo.store.campaigns import Campaign
from aicmo.store.contents import Draft
from aicmo.store.deliveries import State
from aicmo.store.messages import FIRST_STEP, Message
from aicmo.store.sequences import Place, Places
from aicmo.text import shown

STATES = ("active", "done", "stopped")
"""Of people in a sequence."""
_UNSENT = (State.QUEUED, State.DEFERRED)


@dataclass(frozen=True, slots=True)
class StepState:
    """One step, and how far it has come."""

    message: Message
    subject: str
    counts: dict[str, int]
    """Deliveries of it by state."""
    here: int
    """People in the sequence whose last step it is."""


@dataclass(frozen=True, slots=True)
class PlaceTold:
    """Where one person is, and why."""

    place: Place
    next_step: int | None
    """``None``: nothing more comes."""
    why: str


class Sequences:
    """All block: the caller chooses the thread."""

    def __init__(
        self, db: Database, check: Callable[[Draft, str, str], CheckReport], *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        """``check`` says what is wrong with a draft, for an audience and a campaign's name."""
        self._db, self._check, self._clock = db, check, clock

    def make(self, campaign_id: int, *, joins: bool | None = None) -> Campaign:
        """A sequence of a campaign that has not begun. With ``joins``, whoever comes into the audience later enters
        too; ``False`` ends that, also of a running one, and those inside go on.

        Raises ``NotFound``, ``IllegalTransition``, and ``InvalidInput`` where a test is under way.
        """
        now = self._clock.now()

        def work(db: sqlite3.Connection) -> Campaign:
            campaign = campaigns.get(db, campaign_id)
            if joins is False and campaign.kind != "sequence":
                return campaign  # nobody joins it, and it stays what it is
            if joins is not False:
                campaigns.refuse_cancelled(campaign)
            _make(db, campaign)
            if joins and variants.trial(db, campaign_id) is not None:
                raise InvalidInput(
                    "A campaign that newcomers join is never through with its test.",
                    hint=VerbHint("Drop the test first", f"campaign ab {campaign_id} --off"),
                )
            if joins is not None:
                campaigns.set_joining(db, campaign_id, now if joins else None)
            return campaigns.get(db, campaign_id)

        return self._db.write(work)

    def steps(self, campaign_id: int) -> list[StepState]:
        """The first and all others, in their order. Raises ``NotFound``."""

        def read(db: sqlite3.Connection) -> list[StepState]:
            counted, places = sequences.in_ledger(db, campaign_id), sequences.places(db, campaign_id)
            return [
                StepState(
                    each,
                    messages.draft(db, each).subject,
                    counted.get(each.step, {}),
                    places.active.get(each.step, 0),
                )
                for each in [messages.first(db, campaign_id), *messages.steps(db, campaign_id)]
            ]

        return self._db.read(read)

    def places(self, campaign_id: int) -> Places:
        """How many people are where."""
        return self._db.read(lambda db: sequences.places(db, campaign_id))

    def people(self, campaign_id: int, *, state: str = "", offset: int = 0, limit: int = -1) -> list[PlaceTold]:
        """Who is where, and why. Raises ``NotFound``, and ``InvalidInput`` for a state that is none."""
        if state and state not in STATES:
            raise InvalidInput(f"There is no state {shown(state)}.", hint=f"There are: {', '.join(STATES)}.")

        def read(db: sqlite3.Connection) -> list[PlaceTold]:
            campaigns.get(db, campaign_id)
            steps = messages.steps(db, campaign_id, removed=True)
            return [
                _told(place, following(steps, place.step))
                for place in sequences.listed(db, campaign_id, state=state, offset=offset, limit=limit)
            ]

        return self._db.read(read)

    # --- edits ------------------------------------------------------------------------------------------------------

    def plan(self, campaign_id: int, edit: Edit) -> Plan:
        """What ``edit`` would make of the steps and the people inside; nothing is changed.

        Raises ``NotFound``, ``InvalidInput``, ``QueryInvalid`` for a condition, ``IllegalTransition`` for a campaign
        that is no sequence and has begun, or was cancelled.
        """
        now = self._clock.now()
        return self._db.read(lambda db: _plan(db, campaign_id, edit, now))

    def edit(self, campaign_id: int, edit: Edit, *, approve: bool = False) -> Plan:
        """Do it. ``approve`` approves the step's words on the way, which in a campaign that has begun have to be.

        Raises as ``plan``, ``ApprovalNeeded``, and ``InvalidInput`` when the check of new words for a campaign that has
        begun finds an error.
        """
        now = self._clock.now()
        self._refuse_errors(campaign_id, edit)

        def work(db: sqlite3.Connection) -> Plan:
            plan = _plan(db, campaign_id, edit, now)
            _make(db, campaigns.get(db, campaign_id))
            is_fixed = campaigns.get(db, campaign_id).version_id is not None
            for each in plan.steps:
                messages.put(db, _fixed(db, each) if is_fixed else each)
            if plan.step == FIRST_STEP:
                assert isinstance(edit, Change) and edit.content_id is not None  # nothing else of it can be changed
                campaigns.set_content(db, campaign_id, edit.content_id)
                if is_fixed:
                    campaigns.fix_version(db, campaign_id, contents.get(db, edit.content_id).version_id)
            if is_fixed:
                if _brings_words(edit):
                    _approve(db, messages.get(db, campaign_id, plan.step), now, approve)
                sequences.reckon_anew(db, campaign_id)
            return plan

        return self._db.write(work)

    def _refuse_errors(self, campaign_id: int, edit: Edit) -> None:
        if not isinstance(edit, Add | Change) or edit.content_id is None:
            return
        content_id = edit.content_id
        campaign, content = self._db.read(lambda db: (campaigns.get(db, campaign_id), contents.get(db, content_id)))
        if campaign.version_id is None:
            return
        report = self._check(content.draft, campaign.audience, campaign.name)
        for problem in report.problems:
            if problem.severity == "error" and problem.code != "empty_audience":
                raise InvalidInput(problem.message, hint=problem.hint)


def _brings_words(edit: Edit) -> bool:
    return isinstance(edit, Add) or (isinstance(edit, Change) and edit.content_id is not None)


def _plan(db: sqlite3.Connection, campaign_id: int, edit: Edit, now: datetime) -> Plan:
    campaign = campaigns.get(db, campaign_id)
    campaigns.refuse_cancelled(campaign)
    _refuse_begun(db, campaign)
    if isinstance(edit, Add | Change):
        if edit.content_id is not None:
            refuse_unsendable(db, edit.content_id)
        if edit.only_if:
            select(db, condition(edit.only_if, campaign_id), now=now)
    if isinstance(edit, Change) and edit.step == FIRST_STEP and messages.first(db, campaign_id).variant:
        raise InvalidInput(
            "The first step has variants; its words stay.", hint=VerbHint("See", "campaign variant list ID")
        )
    before = messages.steps(db, campaign_id, removed=True)
    after, number = edited(campaign_id, before, edit)
    if not campaigns.has_begun(db, campaign_id):
        return Plan(tuple(after), number, ())
    counted = sequences.in_ledger(db, campaign_id).get(number, {})
    queued = sum(counted.get(state, 0) for state in _UNSENT)
    told = consequences(before, after, edit, number, sequences.places(db, campaign_id), queued)
    return Plan(tuple(after), number, told)


def _refuse_begun(db: sqlite3.Connection, campaign: Campaign) -> None:
    """What has begun to go once cannot become a sequence: nobody was enrolled."""
    if campaign.kind != "sequence" and campaigns.has_begun(db, campaign.id):
        raise IllegalTransition(
            f"Campaign {campaign.id} has begun and goes once.",
            hint=VerbHint(
                "Make a sequence for those it reached", f"campaign create --to sent:{campaign.id} --kind sequence"
            ),
        )


def _make(db: sqlite3.Connection, campaign: Campaign) -> None:
    _refuse_begun(db, campaign)
    campaigns.set_kind(db, campaign.id, "sequence")


def _fixed(db: sqlite3.Connection, message: Message) -> Message:
    if message.version_id is not None:
        return message
    return dataclasses.replace(message, version_id=contents.get(db, message.content_id).version_id)


def _approve(db: sqlite3.Connection, message: Message, now: datetime, approve: bool) -> None:
    words = messages.draft(db, message).hash
    if approve:
        contents.approve(db, words, now)
    elif not contents.approved_at(db, words):
        raise ApprovalNeeded(
            f"What step {message.step} says is not approved, and the campaign has begun.",
            hint="Look at it, then answer y on a terminal, or say --yes.",
        )


def _told(place: Place, following: Message | None) -> PlaceTold:
    if place.state != "active":
        return PlaceTold(place, None, place.because if place.state == "stopped" else "had all of it")
    number = following.step if following else None
    went = f"step {place.step}"
    match place.delivery:
        case State.UNKNOWN:
            why = f"{went} may or may not have gone: nothing follows until that is resolved"
        case State.SENT | "":
            why = f"waits for step {number}" if number else f"{went} was the last"
        case State.DEFERRED | State.QUEUED | State.CLAIMED | State.SENDING:
            why = f"{went} is {'queued' if place.delivery == State.CLAIMED else place.delivery}"
        case other:
            why = f"{went} is {other}: leaves at the next look"
    if place.passed_over:
        why = f"passed over for {went}" + (f"; waits for step {number}" if number else ", the last")
    return PlaceTold(place, number, why)
