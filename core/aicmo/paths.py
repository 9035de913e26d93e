"""Where things are on this computer.

Configuration and data lie where the platform keeps them; ``AICMO_CONFIG`` and ``AICMO_DATA_DIR`` move them. What we
create is for its owner alone: folders 0700, files 0600.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aicmo.errors import StoreReadOnly


@dataclass(frozen=True, slots=True)
class Paths:
    config_file: Path
    data_dir: Path

    @property
    def database(self) -> Path:
        return self.data_dir / "aicmo.db"

    @property
    def health_database(self) -> Path:
        return self.data_dir / "health.db"

    @property
    def sender_lock(self) -> Path:
        """Held by the one process that sends; the operating system frees it however that process ends."""
        return self.data_dir / "sender.lock"

    @property
    def tokens_dir(self) -> Path:
        """What OAuth servers gave, a file for each provider."""
        return self.data_dir / "tokens"

    @property
    def log_file(self) -> Path:
        return self.data_dir / "aicmo.log"


def find_paths(
    *,
    config: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Paths:
    """The places in force: an argument wins over the environment, which wins over the platform's default."""
    config = config or environ.get("AICMO_CONFIG")
    data_dir = data_dir or environ.get("AICMO_DATA_DIR")
    if config is None or data_dir is None:
        import platformdirs

        dirs = platformdirs.PlatformDirs("aicmo", appauthor=False)
        config = config or dirs.user_config_path / "config.toml"
        data_dir = data_dir or dirs.user_data_path
    return Paths(Path(config).expanduser(), Path(data_dir).expanduser())


def make_private_dir(folder: Path) -> None:
    """Create ``folder`` and its parents for its owner alone. An existing one is left as it is: it may be somebody's
    working folder, and the files that we put into it are closed to others by themselves.
    """
    try:
        for each in reversed([folder, *folder.parents]):  # mkdir's own way of making parents leaves them open
            if not each.exists():
                each.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(
            f"The folder {folder} cannot be created: {error.strerror}.",
            hint="Choose another with --data-dir or AICMO_DATA_DIR.",
        ) from error


def make_private(path: Path) -> None:
    """Take everybody else's rights from ``path``. One that is not ours keeps them: we could not change that."""
    with contextlib.suppress(PermissionError):
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            path.chmod(mode & 0o700)
