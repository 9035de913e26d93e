"""``python -m bench``: every benchmark in its short form, one after the other, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

ALL = {
    "start": [],
    "import_csv": [],
    "table": ["--rows", "200000", "--peer-rows", "5000"],
    "send": [],
    "check": ["--people", "50000"],
    "crash": ["--kills", "20"],
    "failover": ["--short"],
    "enrich": ["--people", "3000"],
}
"""Module -> arguments. Leave the arguments out by hand for the full size."""


def main() -> int:
    failed = [
        name
        for name, arguments in ALL.items()
        if subprocess.run([sys.executable, "-m", f"bench.{name}", *arguments], check=False).returncode
    ]
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
