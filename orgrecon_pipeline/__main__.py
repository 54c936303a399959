"""The entry point of ``orgrecon`` and of ``python -m orgrecon_pipeline``: how a command is ended from outside."""

from __future__ import annotations

import os
import signal
import sys

from orgrecon_pipeline.cli import main as run


def main() -> None:
    """Run the command line. A pipe that nobody reads ends it with 128 and the signal's number, as no verdict does."""
    try:
        run()
    except BrokenPipeError:
        # What is left in the buffers would fail once more when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
