"""Cost of a command line, as the operating system counts it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A small process starts the command, because a child's peak memory starts at the memory of its parent.
_LAUNCHER = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]))
sys.exit(0 if str(os.waitstatus_to_exitcode(status)) in sys.argv[1].split(",") else 1)
"""


@dataclass(frozen=True)
class CommandCost:
    """CPU seconds of each run, its children included, and the most memory of one process in MB."""

    cpu_seconds: tuple[float, ...]
    peak_mb: float

    @property
    def median(self) -> float:
        """Median of the CPU seconds."""
        return statistics.median(self.cpu_seconds)


def measure_commands(
    commands: Mapping[str, Sequence[str]], rounds: int, cwd: Path, environ: Mapping[str, str], exit_codes: str = "0,1",
) -> dict[str, CommandCost]:
    """Run each command once to warm up and then in each round, in turns.

    Raises:
        subprocess.CalledProcessError: if a command ends with another exit code.
    """
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            run = subprocess.run([sys.executable, "-I", "-S", "-c", _LAUNCHER, exit_codes, *command], cwd=cwd,
                                 env={**os.environ, **environ}, check=True, stdout=subprocess.PIPE, text=True)
            cpu, memory = json.loads(run.stdout)
            if number:
                runs[name].append((cpu, memory))
    return {name: CommandCost(tuple(cpu for cpu, _ in of_command), max(memory for _, memory in of_command))
            for name, of_command in runs.items()}
