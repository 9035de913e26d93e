"""What a server gets is what the preview showed; and what cannot be built harms nobody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aicmo.config import Config
from aicmo.errors import AuthNeeded, IllegalTransition
from aicmo.paths import Paths
from aicmo.publishing import State
from aicmo.publishing.changing import CampaignChange
from aicmo.publishing.sending.outbox import RunReport
from aicmo.publishing.sequences.editing import Add
from aicmo.sandbox import RunningSandbox
from aicmo.store.campaign_options import CampaignOptions
from aicmo.store.contents import Draft
from aicmo.workspace import Workspace, open_workspace
from tests.publishing.conftest import config_for, started_campaign
from tests.publishing.letters import pem, verifies

PAGE = "https://example.com/u/{token}"
TEXT = Draft("News for {{ first_name | default('you') }}", "See [the tour](https://x.example/?a=1).\n", "Short")


def opened(sandbox: RunningSandbox, folder: Path, **more: object) -> Workspace:
    said = config_for(sandbox, "smtp-a").model_dump()
    return open_workspace(Paths(folder / "config.toml", folder / "data"), Config.model_validate({**said, **more}))


async def send(workspace: Workspace) -> RunReport:
    async with workspace:
        return await workspace.publishing.outbox().run()


def without_what_differs(raw: str) -> str:
    """But for the date, the delivery's token, and the signature over them."""
    raw = re.sub(r"^DKIM-Signature:.*\r\n([ \t].*\r\n)*", "", raw)
    raw = re.sub(r"(?m)^Date: .*$", "Date:", raw.replace("=\r\n", ""))
    return re.sub(r"\d+\.\d+\.([0-9a-f]{20}|preview|test-[0-9]+)", "TOKEN", raw)


async def test_the_preview_is_what_the_server_gets(sandbox: RunningSandbox, tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    key.write_text(pem("ed25519"), encoding="utf-8")
    key.chmod(0o600)
    workspace = opened(
        sandbox,
        tmp_path,
        links={"utm": {}, "unsubscribe_url": PAGE},
        dkim={"domain": "example.com", "private_key_file": str(key)},
    )
    campaign = started_campaign(workspace, ["jane@acme.example"], TEXT)
    seen = workspace.publishing.preview(campaign.id)
    report = await send(workspace)
    assert report.counts == {"sent": 1}
    (mail,) = sandbox.received()
    assert without_what_differs(mail.raw.decode()) == without_what_differs(seen.source)
    assert f"Feedback-ID: c{campaign.id}:s1:campaign:examplecom" in seen.source
    assert "utm_campaign=3Dnews" in seen.source.replace("=\r\n", "")
    for signed in (mail.raw, seen.source.encode()):
        assert verifies(signed, "ed25519")
    assert mail.mail_from == "ada@example.com" and mail.rcpt_to == ("jane@acme.example",)


async def test_every_variant_is_previewed_as_it_is_sent(sandbox: RunningSandbox, tmp_path: Path) -> None:
    workspace = opened(sandbox, tmp_path, links={"utm": {}})
    for number in range(8):
        workspace.crm.add(f"p{number}@acme.example")
    content = workspace.contents.create("email", "News", TEXT)
    campaign = workspace.publishing.create_campaign("News", content.id, "").id
    workspace.variants.add(campaign, subject="Other news")
    workspace.publishing.start(campaign, approve=True)
    ledger = {each.email: each.variant for each in workspace.publishing.deliveries(campaign)}
    seen = {
        email: workspace.publishing.preview(campaign, email=email, variant=variant).source
        for email, variant in ledger.items()
    }
    await send(workspace)
    assert set(ledger.values()) == {"A", "B"}
    for mail in sandbox.received():
        (email,) = mail.rcpt_to
        raw, letter = without_what_differs(mail.raw.decode()), ledger[email]
        assert raw == without_what_differs(seen[email])
        assert f"Feedback-ID: c{campaign}:s1{letter}:campaign:" in raw and f"utm_content=3D{letter.lower()}" in raw


async def test_a_test_is_previewed_as_it_is_sent(sandbox: RunningSandbox, tmp_path: Path) -> None:
    async with opened(sandbox, tmp_path, links={"utm": {}}) as workspace:
        workspace.crm.add("jane@acme.example", first_name="Jane")
        first = workspace.contents.create("email", "News", TEXT)
        campaign = workspace.publishing.create_campaign("News", first.id, "").id
        second = workspace.contents.create("email", "More", Draft("More for {{ first_name }}", "x"))
        workspace.sequences.edit(campaign, Add(second.id, 60))
        seen = workspace.publishing.preview_test(campaign, "Me@Acme.example", step=2)
        await workspace.publishing.send_test(campaign, "Me@Acme.example", step=2)
    (mail,) = sandbox.received()
    assert without_what_differs(mail.raw.decode()) == without_what_differs(seen.source)
    assert (seen.to, seen.subject) == ("Me@Acme.example", "[Test] More for Jane")
    assert f"Feedback-ID: c{campaign}:s2:" in seen.source


@pytest.mark.parametrize(
    ("configured", "said", "added"),
    [(None, None, False), (None, True, True), ({}, None, True), ({}, False, False), ({"source": "me"}, True, True)],
)
async def test_a_campaign_may_say_itself_whether_its_links_are_tagged(
    configured: dict[str, str] | None, said: bool | None, added: bool, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    workspace = opened(sandbox, tmp_path, links={"utm": configured} if configured is not None else {})
    workspace.crm.add("jane@acme.example")
    content = workspace.contents.create("email", "News", TEXT)
    campaign = workspace.publishing.create_campaign("News", content.id, "", options=CampaignOptions(utm=said)).id
    seen = workspace.publishing.preview(campaign)
    workspace.publishing.start(campaign, approve=True)
    with pytest.raises(IllegalTransition, match="links have gone out"):
        workspace.publishing.edit_campaign(campaign, CampaignChange(options={"utm": not said}))
    await send(workspace)
    (mail,) = sandbox.received()
    assert without_what_differs(mail.raw.decode()) == without_what_differs(seen.source)
    assert ("utm_campaign=news" in seen.text) is added
    assert f"utm_source={(configured or {}).get('source', 'newsletter')}" in seen.text or not added


async def test_a_key_that_is_not_there_ends_the_run_and_fails_nobody(sandbox: RunningSandbox, tmp_path: Path) -> None:
    workspace = opened(sandbox, tmp_path)
    campaign = started_campaign(workspace, 3)
    workspace.close()
    signing = {"domain": "example.com", "private_key_env": "AICMO_NO_SUCH_KEY"}
    with pytest.raises(AuthNeeded, match="No private key for dkim"):
        await send(opened(sandbox, tmp_path, dkim=signing))
    assert not sandbox.received()
    again = opened(sandbox, tmp_path)
    assert (await send(again)).counts == {"sent": 3}
    with opened(sandbox, tmp_path) as after:
        assert after.publishing.counts(campaign.id).sent == 3


async def test_a_campaign_that_cannot_be_built_pauses_and_fails_nobody(sandbox: RunningSandbox, tmp_path: Path) -> None:
    workspace = opened(sandbox, tmp_path)
    campaign = started_campaign(workspace, 3)
    workspace.close()
    key = tmp_path / "dkim.pem"
    key.write_text(pem("ed25519"), encoding="utf-8")
    key.chmod(0o600)
    await send(opened(sandbox, tmp_path, dkim={"domain": "other.example", "private_key_file": str(key)}))
    with opened(sandbox, tmp_path) as after:
        paused = after.publishing.campaign(campaign.id)
        assert paused.status == "paused" and "the mail is from example.com" in paused.pause_reason
        assert after.publishing.counts(campaign.id).queued == 3
    assert not sandbox.received()


async def test_a_contact_whose_address_changed_meanwhile_fails_alone(sandbox: RunningSandbox, tmp_path: Path) -> None:
    workspace = opened(sandbox, tmp_path)
    campaign = started_campaign(workspace, 3)
    workspace.db.write(lambda db: db.execute("UPDATE contact SET email = 'x@y.example' WHERE address LIKE 'p1@%'"))
    report = await send(workspace)
    assert report.counts == {"sent": 2, "failed": 1}
    assert "x@y.example" not in {mail.rcpt_to[0] for mail in sandbox.received()}
    with opened(sandbox, tmp_path) as after:
        (failed,) = after.publishing.deliveries(campaign.id, state=State.FAILED)
        assert "no longer p1@acme.example" in failed.reason
        assert after.publishing.campaign(campaign.id).status == "finished"
