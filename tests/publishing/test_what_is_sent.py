"""What a server gets is what the preview showed; and what cannot be built harms nobody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aicmo.config import Config
from aicmo.errors import AuthNeeded
from aicmo.paths import Paths
from aicmo.publishing import State
from aicmo.publishing.outbox import RunReport
from aicmo.sandbox import RunningSandbox
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
    return re.sub(r"\d+\.\d+\.([0-9a-f]{20}|preview)", "TOKEN", raw)


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
    seen = workspace.contents.preview(TEXT, campaign_name="News", campaign_id=campaign.id)
    report = await send(workspace)
    assert report.counts == {"sent": 1}
    (mail,) = sandbox.received()
    assert without_what_differs(mail.raw.decode()) == without_what_differs(seen.source)
    assert f"Feedback-ID: c{campaign.id}:s1:campaign:examplecom" in seen.source
    assert "utm_campaign=3Dnews" in seen.source.replace("=\r\n", "")
    for signed in (mail.raw, seen.source.encode()):
        assert verifies(signed, "ed25519")
    assert mail.mail_from == "ada@example.com" and mail.rcpt_to == ("jane@acme.example",)


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
