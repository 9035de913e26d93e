"""``aicmo demo``: the whole product on a sandbox, with nothing to set up."""

from __future__ import annotations

from pathlib import Path

import click

from aicmo.errors import InvalidInput
from aicmo_tui.cli import output
from aicmo_tui.cli.verb import Run, run_async, verb


@verb()
@click.option("--seed", default=1, show_default=True, help="Other people for another number.")
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(min=0.1, max=50), help="Faster or slower."
)
@click.option("--headless", is_flag=True, help="Without a screen; say what happened.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(min=0.1), help="How long, headless.")
def demo(run: Run, seed: int, speed: float, headless: bool, seconds: float) -> None:
    """The app on a sandbox: sample people, a campaign under way, and a mail server that fails for a while.

    Two mail servers and a mailbox run on this computer; nothing leaves it. The data vanish at the end, unless
    --data-dir keeps them in a folder named demo.
    """
    import importlib.util

    if importlib.util.find_spec("aiosmtpd") is None:
        raise InvalidInput("The demo needs its sandbox, which is not installed.", hint="Run: pip install 'aicmo[demo]'")
    from aicmo.demo import open_demo
    from aicmo.log import logging_to
    from aicmo_tui.cli.app import show

    folder = Path(run.data_dir) / "demo" if run.data_dir else None
    with open_demo(folder=folder, seed=seed, speed=speed) as opened:
        if not headless:
            run_async(show(lambda: opened.workspace))
            return
        audience = opened.workspace.publishing.counts(opened.campaign.id).audience
        run.say(f"A campaign to {audience} people, for {seconds:g} s …")

        async def send() -> None:
            outbox = opened.workspace.publishing.outbox(what="aicmo demo")
            try:
                with logging_to(opened.workspace.paths.log_file):
                    await outbox.run(patience_s=seconds, max_seconds=seconds)
            finally:
                for provider in opened.workspace.chain("email_sending").providers:
                    await provider.close()
                await opened.workspace.registry.close()

        run_async(send())
        happened = opened.compare()
    record = {"schema": "aicmo.demo/1", **happened}
    counts = ", ".join(f"{name} {count}" for name, count in happened["counts"].items() if count)
    text = [
        f"{happened['status']}: {counts}",
        f"the servers received {happened['received']} messages: {happened['received_by']}",
        f"received twice: {happened['received_twice']}, sent but not received: {happened['sent_but_not_received']}",
        *(
            f"{event['at'][11:19]}  {event['provider']}  {event['from']} → {event['to']}  {event['why']}"
            for event in happened["events"]
        ),
    ]
    output.document(record, run.form, text)
