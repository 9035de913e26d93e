"""Draw the README's picture: the app's own export, while the demo's campaign runs and its first server is down."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aicmo.demo import open_demo
from aicmo_tui.app import AicmoApp

SIZE = (118, 30)
SENT_ENOUGH = 110


async def picture() -> str:
    """An SVG of one campaign under way."""
    with open_demo(speed=2) as demo:
        app = AicmoApp(demo.workspace)
        async with app.run_test(size=SIZE) as pilot:
            while demo.workspace.publishing.counts(demo.campaign.id).sent < SENT_ENOUGH:
                await pilot.pause(0.1)
            app.open_campaign(demo.campaign.id)
            await pilot.pause(2)
            svg = app.export_screenshot(title="AICMO")
            await app.sending.stop()
        await demo.workspace.aclose()
        return svg


if __name__ == "__main__":
    Path(__file__).with_name("app.svg").write_text(asyncio.run(picture()), encoding="utf-8")
