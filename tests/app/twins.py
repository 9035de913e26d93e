"""People who are in the list twice, and plans with some of them: what the screens over Contacts and Home look at."""

from __future__ import annotations

from datetime import timedelta

from sample import NOW

from aicmo.clock import rfc3339
from aicmo.workspace import Workspace


def add_twins(workspace: Workspace) -> None:
    """Jane (exact, and much to choose), Bob (exact, nothing to choose), Katherine (similar)."""
    add = workspace.crm.add
    add("jane.roe@gmail.com", first_name="Jane", last_name="Roe", title="Countess", stage="ENGAGED", tags=["trial"])
    add(
        "janeroe+news@gmail.com",
        first_name="Jane",
        last_name="Roe",
        title="Analyst",
        phone="+49 30 1234567",
        tags=["vip"],
        stage="VERIFIED",
        fields={"city": "London"},
    )
    add("bob@globex.example", first_name="Bob", last_name="Lee", company="Globex")
    add("bob+x@globex.example", first_name="Bob", last_name="Lee")
    add("k.johnson@initech.example", first_name="Katherine", last_name="Johnson", company="Initech")
    add("kj@initech.example", first_name="Katharine", last_name="Johnson", phone="030 7654321")


def add_plans(workspace: Workspace) -> None:
    """One overdue, one due, one to come; and one silent for 45 days."""
    crm, today = workspace.crm, workspace.today
    today.plan(crm.add("omar@plan.example", first_name="Omar", company="Plan", phone="030 1"), "call", "today")
    today.plan(crm.add("lee@plan.example", first_name="Lee", company="Plan"), "send the offer", "today")
    today.plan(crm.add("zoe@plan.example", first_name="Zoë", company="Plan"), "write", "+3d")
    crm.add("quiet@plan.example", first_name="Quinn", company="Plan", stage="CONVERTED")

    def pass_time(db):
        db.execute("UPDATE next_action SET due = '2026-11-19' WHERE text = 'call'")
        long_ago = rfc3339(NOW - timedelta(days=45))
        db.execute("UPDATE contact SET created_at = ? WHERE email = 'quiet@plan.example'", (long_ago,))

    workspace.db.write(pass_time)
