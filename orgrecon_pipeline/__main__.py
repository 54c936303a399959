"""Entry point of ``orgrecon`` and ``python -m orgrecon_pipeline``: signals, and a closed pipe.

Nothing else is imported before the signal handlers are set, because imports take a moment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType, TracebackType


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
    sys.unraisablehook, sys.excepthook = _interrupt_again, _show
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
        # The command has ended: nothing is left to interrupt.
        sys.unraisablehook, sys.excepthook = sys.__unraisablehook__, sys.__excepthook__
        gc.freeze()  # at exit, the interpreter would examine all objects once more, only to end


def _discard(*descriptors: int) -> None:
    # The interpreter flushes the standard streams at exit, which must not fail again.
    devnull = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(devnull, descriptor)


def _interrupt(_number: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code in (_interrupt_again.__code__, _show.__code__):  # an exception would be ignored here as well
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def _interrupt_again(ignored: sys.UnraisableHookArgs) -> None:
    """Interrupt once more if the interpreter ignored an interrupt, as in callbacks of C code and of weak references.

    Otherwise the command would go on, and without the result of the callback.
    """
    if ignored.exc_type is KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
    else:
        sys.__unraisablehook__(ignored)


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an exception, but no interrupt: compiled modules such as psycopg's show it before they ignore it."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, error, trace)


if __name__ == "__main__":
    main()
