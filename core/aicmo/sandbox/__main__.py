"""``python -m aicmo.sandbox``: the sandbox as a process of its own. See ``server`` for its manners."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from aicmo.errors import AicmoError


def main() -> int:
    """Parse the arguments and serve; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m aicmo.sandbox", description="The outside world, on loopback.")
    parser.add_argument("--folder", type=Path, required=True, help="where the mail it receives is kept")
    parser.add_argument("--faults", type=Path, help="a fault script: a JSON list of rules")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample people")
    parser.add_argument("--starttls", action="store_true", help="offer STARTTLS with a self-signed certificate")
    parser.add_argument(
        "--audience",
        metavar="RATES",
        help='let people read the mail, by a JSON object of true rates such as {"reply": 0.1}',
    )
    parser.add_argument(
        "--audience-scale", type=float, default=0.0, metavar="S", help="seconds that one of the audience's takes here"
    )
    arguments = parser.parse_args()
    try:
        from aicmo.sandbox.audience.rates import parse_rates
        from aicmo.sandbox.faults import parse_faults
        from aicmo.sandbox.server import run

        faults = parse_faults(json.loads(arguments.faults.read_bytes())) if arguments.faults else ()
        audience = None if arguments.audience is None else parse_rates(json.loads(arguments.audience))
        run(
            arguments.folder,
            faults=faults,
            starttls=arguments.starttls,
            seed=arguments.seed,
            audience=audience,
            audience_scale=arguments.audience_scale,
        )
    except ModuleNotFoundError as missing:
        print(f"The sandbox needs {missing.name}, which comes with the extra aicmo[demo].", file=sys.stderr)
        return 7
    except AicmoError as error:
        print(error.message, error.hint, file=sys.stderr)
        return error.exit_code
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 6
    return 0


if __name__ == "__main__":
    sys.exit(main())
