"""The tutorial works: its commands are run in its order, and print what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.support.environ import inherited_environ
from orgrecon_pipeline_tests.support.operations.postgres_server import find_program
from orgrecon_pipeline_tests.support.python_process import write_orgrecon_program

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "tutorial.md").read_text("utf-8")
# Each command block, with the block after it if that is its output.
STEPS = re.findall(r"```sh\n(.*?)```(?:\n\n```(?:text|yaml)\n(.*?)```)?", PAGE, re.DOTALL)
PAGE_DAY = date.fromisoformat(re.findall(r"tutorial: (\S+)  FAIL", PAGE)[0])
END_OF_STEP = "=== end of step"


def follow(server: EmbeddedServer, folder: Path) -> list[str]:
    """Run all commands of the page in one shell, and return the output of each block."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    write_orgrecon_program(programs / "orgrecon")
    for name in ("createdb", "dropdb", "psql"):
        (programs / name).symlink_to(find_program(name))
    (folder / "tutorial.sql").write_text((DOCS / "tutorial.sql").read_text())
    host = re.findall(r"host=([^&]+)", server.dsn())[0].replace("%2F", "/")
    environment = {**inherited_environ(), "PGHOST": host, "PGUSER": "postgres",
                   "PATH": f"{programs}:{os.environ['PATH']}"}
    script = f"\necho '{END_OF_STEP}'\n".join(commands for commands, _ in STEPS)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=240)
    return done.stdout.split(f"{END_OF_STEP}\n")


def comparable(output: str, today: date) -> list[str]:
    """Return the lines of an output, with the days of the page and without what differs between servers."""
    moved = re.sub(r"\d{4}-\d\d-\d\d", lambda day: str(date.fromisoformat(day[0]) + (PAGE_DAY - today)), output)
    neutral = re.sub(r"server \d+|PostgreSQL [\d.]+|clock \S+ \S+|psql:\S+:\d+:", "…", moved)
    return [re.sub(r"(?<=\S) {2,}", "  ", line).rstrip() for line in neutral.splitlines()]


def assert_shown(shown: list[str], printed: list[str]) -> None:
    """Require the lines of a page, in which a line `…` stands for any lines."""
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else re.escape(line) + r"\n" for line in shown)
    assert re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)), "\n".join(printed)


def test_page_shows_the_file_that_it_offers() -> None:
    assert re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) == [(DOCS / "tutorial.sql").read_text()]


@pytest.mark.slow
def test_commands_of_the_tutorial_print_what_the_page_shows(server: EmbeddedServer, tmp_path: Path) -> None:
    today = datetime.now(timezone.utc).date()
    outputs = follow(server, tmp_path / "first")
    if datetime.now(timezone.utc).date() != today:  # midnight came in between
        today = datetime.now(timezone.utc).date()
        outputs = follow(server, tmp_path / "second")
    assert len(outputs) == len(STEPS)
    for (commands, shown), printed in zip(STEPS, outputs, strict=True):
        print(commands)
        assert_shown(comparable(shown, PAGE_DAY), comparable(printed, today))
