"""The command line: picks a command, and turns every error into one line and an exit code."""

import os
import sys
from collections.abc import Sequence

from .arguments import parse


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 good, 1 a run failed, 2 the workflow or usage is wrong, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = parse(words)
        code: int = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # noqa: BLE001 (the last border: told, or raised again)
        from .report import tell

        return tell(error, words)
