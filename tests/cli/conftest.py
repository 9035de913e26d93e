from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import PEOPLE, Answer, CommandLine, config_text, with_crm, with_enrichment, write_config

from aicmo.sandbox import Fault, RunningSandbox, start_sandbox
from aicmo.sandbox.known import what_is_known
from aicmo_tui.cli.verb import run_command


@pytest.fixture(scope="session")
def running_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture
def sandbox(running_sandbox: RunningSandbox) -> RunningSandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configured home whose mail servers do not listen; ``aicmo`` works in it."""
    for name in os.environ:
        if name.startswith(("AICMO_", "SMTP_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("NO_COLOR", "")  # --no-color sets it: so it is put back afterwards
    home = tmp_path / "home"
    monkeypatch.setenv("AICMO_CONFIG", str(write_config(home / "config.toml", config_text())))
    monkeypatch.setenv("AICMO_DATA_DIR", str(home / "data"))
    return home


@pytest.fixture
def aicmo(home: Path, capfd: pytest.CaptureFixture[str]) -> CommandLine:
    """Run a command line in this process."""

    def run(*words: object, code: int | None = 0) -> Answer:
        capfd.readouterr()
        got = run_command([str(word) for word in words])
        answer = Answer(got, *capfd.readouterr())
        assert code is None or got == code, answer
        return answer

    return run


@pytest.fixture
def sending_home(home: Path, sandbox: RunningSandbox) -> Path:
    """The same home, with the sandbox's two mail servers."""
    write_config(home / "config.toml", config_text(sandbox))
    return home


@pytest.fixture(scope="session")
def filled(running_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with people, content, and campaigns: 1 sent, failed and unknown; 2 a draft; 3 running; 4 paused; 5 a
    sequence under way; 6 a draft with variants; 7 a test under way."""
    folder = tmp_path_factory.mktemp("filled")
    text = with_crm(with_enrichment(config_text(running_sandbox), running_sandbox), running_sandbox)
    config = write_config(folder / "config.toml", text)
    (folder / "people.csv").write_text(PEOPLE)
    (folder / "body.md").write_text("Hello {{ first_name }}\n")
    (folder / "post.md").write_text("We moved, and here is why.\n")
    (folder / "short.md").write_text("We moved!\n")
    running_sandbox.set_faults(
        [
            Fault("rcpt", "reply", reply="550 5.1.1 no such user", recipient="dead@*"),
            Fault("dot", "drop", recipient="lost@*"),
        ]
    )
    environ = {**os.environ, "AICMO_CONFIG": str(config), "AICMO_DATA_DIR": str(folder / "data")}
    differs = next(known.linkedin for known in what_is_known() if known.case == "conflict")
    script = f"""
        contact import people.csv
        contact note sent@one.example likes-tea
        contact next late@two.example call --on 2026-11-01
        segment create Titled title:countess
        contact edit late@two.example --title Countess
        field add budget --type number
        content create --title News --subject News --body body.md
        campaign create --name One --content 1 --to tag:all
        campaign create --name Two --content 1 --to tag:late
        campaign create --name Three --content 1 --to tag:late
        campaign create --name Four --content 1 --to tag:late
        campaign create --name Five --content 1 --to tag:late --kind sequence
        campaign step add 5 --content 1 --wait 3d
        campaign step add 5 --content 1 --wait 1d
        campaign create --name Six --content 1 --to tag:late
        campaign variant add 6 --subject Other-news
        campaign create --name Seven --content 1 --to tag:late
        campaign variant add 7 --subject Other-news
        campaign ab 7 --sample 1
        campaign start 1 --wait --yes
        campaign start 5 --yes
        campaign start 7 --yes
        campaign start 3 --yes
        campaign start 4 --yes
        campaign pause 4
        contact edit late@two.example --field linkedin_url=https://www.linkedin.com/in/{differs}
        contact enrich late@two.example --yes
        contact edit late@two.example --company Two
        undo
        content create --type blog --title Moving --subject Moving --body post.md
        content edit 2 --channel x --body short.md
        content edit 2 --subject Moved
        content approve 2
        content note 2 mind the tone
    """
    source = (
        "import sys; from aicmo_tui.cli.verb import run_command\nfor line in sys.argv[1:]: run_command(line.split())"
    )
    lines = [line.strip() for line in script.strip().splitlines()]
    subprocess.run([sys.executable, "-c", source, *lines], cwd=folder, env=environ, check=True, capture_output=True)
    running_sandbox.reset()
    return folder


@pytest.fixture
def in_filled_home(filled: Path, home: Path, sandbox: RunningSandbox) -> Path:
    """A copy of the filled home of one's own; the servers behave."""
    shutil.rmtree(home)
    shutil.copytree(filled, home)
    return home
