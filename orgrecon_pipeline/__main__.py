"""The entry point of ``orgrecon`` and of ``python -m orgrecon_pipeline``: how a command is ended from outside.

It loads nothing before it can be interrupted, as loading takes a moment.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line. SIGINT, SIGTERM, and a pipe that nobody reads end it with 128 and the signal's number, as
    no verdict does."""
    # The interpreter itself writes here which signal came: Dagster handles both alike, and does not say.
    came, told = os.pipe()
    for end in (came, told):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    try:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as in the background of a script
                    signal.signal(number, _interrupt)
            from orgrecon_pipeline.cli.app import main as run

            run()
        except KeyboardInterrupt as interrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # a second one ends at once what still takes its time
            terminated = signal.SIGTERM in os.read(came, 512)
            how = "terminated" if terminated else "interrupted"
            print(f"orgrecon: {how}: {str(interrupt) or 'nothing was decided.'}", file=sys.stderr)  # noqa: T201
            sys.exit(128 + (signal.SIGTERM if terminated else signal.SIGINT))
    except BrokenPipeError:
        # What is left in the buffers would fail once more when the interpreter ends.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in (1, 2):
            os.dup2(nowhere, descriptor)
        sys.exit(128 + signal.SIGPIPE)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    # The import system has callbacks in which an exception is printed and ignored: not now, then, but in a moment.
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
