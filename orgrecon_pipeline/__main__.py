"""Entry point of ``orgrecon`` and ``python -m orgrecon_pipeline``: signals, and a closed pipe.

Nothing else is imported before the signal handlers are set, because imports take a moment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line.

    Signals are not verdicts: SIGINT, SIGTERM and a closed pipe end the command with 128 plus the signal's number.
    """
    # Nearly all objects that imports create live to the end: by default, the collector examines them hundreds of times.
    # The commands that read the ledger create up to 140,000.
    gc.set_threshold(300_000)
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "true")  # pydantic would search all installed packages for some
    # The interpreter writes the number of each signal into this pipe. Dagster handles SIGINT and SIGTERM alike.
    received, wakeup = os.pipe()
    for descriptor in (received, wakeup):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    try:
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
                if signal.getsignal(number) is not signal.SIG_IGN:  # A shell script ignores SIGINT in the background.
                    signal.signal(number, _interrupt)
            from orgrecon_pipeline.cli.app import main as run

            run()
        except KeyboardInterrupt as interrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)  # A second signal ends a slow shutdown at once.
            terminated = signal.SIGTERM in os.read(received, 512)
            cause = "terminated" if terminated else "interrupted"
            try:
                print(f"orgrecon: {cause}: {str(interrupt) or 'nothing was decided.'}", file=sys.stderr)  # noqa: T201
            except BrokenPipeError:
                raise
            except OSError:
                _discard(2)  # as on a full disk
            # If the exception passed through the exec() of a text, as dataclasses call it, the interpreter of python -m
            # would end by SIGINT instead of with this code. The next exec() makes it forget that.
            exec("")  # noqa: S102
            sys.exit(128 + (signal.SIGTERM if terminated else signal.SIGINT))
    except BrokenPipeError:
        _discard(1, 2)
        sys.exit(128 + signal.SIGPIPE)
    finally:
        gc.freeze()  # at exit, the interpreter would examine all objects once more, only to end


def _discard(*descriptors: int) -> None:
    # The interpreter flushes the standard streams at exit, which must not fail again.
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(devnull, descriptor)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    caller = frame
    while caller is not None:
        if caller.f_code is _interrupt.__code__:
            frame = caller.f_back  # what the first signal interrupted: this one came during its handler
        caller = caller.f_back
    # The import system ignores exceptions in its callbacks. Try again in a millisecond.
    if frame is not None and frame.f_code.co_filename.startswith("<frozen importlib"):
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        return
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
