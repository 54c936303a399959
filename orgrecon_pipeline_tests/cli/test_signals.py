"""Commands that are killed, interrupted, run twice at once, or whose output is not read."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import run, start
from orgrecon_pipeline_tests.support.default_identity import verify_trail
from orgrecon_pipeline_tests.support.deploy.tools import ROOT

Connect = Callable[[str], psycopg.Connection[Any]]
SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
WRITE_REPORT = "orgrecon_pipeline.operations.trail.publish.write_report"


@pytest.fixture
def company(company_database: str, connect: Connect, tmp_path: Path) -> str:
    """The DSN of a company whose comparison waits for locks."""
    seed(connect(company_database), tenants=3, users_per_tenant=4)
    write_mapping(tmp_path / "orgrecon.yaml", scan={"settle_seconds": 0, "rechecks": 0, "lock_timeout_seconds": 120})
    return company_database


def reports(directory: Path) -> Path:
    return directory / "docs" / "runbooks" / "org-v23-reconciliation-reports"


def today() -> str:
    return f"{datetime.now(timezone.utc):%F}"


def signal_at(function: str, number: signal.Signals) -> str:
    """Return a program in which calling a function sends a signal to the process instead."""
    module, name = function.rsplit(".", 1)
    return f"import os, signal, {module} as m; m.{name} = lambda *a, **k: os.kill(os.getpid(), signal.{number.name})"


@pytest.mark.parametrize("function", [WRITE_REPORT, "os.replace"])
def test_baseline_killed_between_ledger_and_file_is_repaired_by_the_next_run(tmp_path: Path, function: str) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for directory in (undisturbed, killed):
        directory.mkdir()
    day = f"{datetime.now(timezone.utc) - timedelta(days=1):%F}"
    arguments = ("report", "--baseline", "--date", day)
    assert run(undisturbed, *arguments).code == 0
    assert run(killed, *arguments, program=signal_at(function, signal.SIGKILL)).code == -signal.SIGKILL
    assert list(reports(killed).glob("*.md")) == []
    assert run(killed, *arguments).code == 0
    [expected], [repaired] = ([*reports(directory).iterdir()] for directory in (undisturbed, killed))
    assert repaired.name == f"{day}.md", "a temporary file was left"
    assert repaired.read_bytes() == expected.read_bytes()


def test_live_run_killed_between_ledger_and_file_is_repaired_by_any_run(company: str, tmp_path: Path) -> None:
    killed = run(tmp_path, "report", program=signal_at(WRITE_REPORT, signal.SIGKILL), DATABASE_URL=company)
    assert killed.code == -signal.SIGKILL
    assert not list(tmp_path.rglob("*.md"))
    day = today()
    report = reports(tmp_path) / f"{day}.md"
    assert run(tmp_path, "render", day).code == 0
    rendered = report.read_bytes()
    assert b"live" in rendered
    report.unlink()
    assert (run(tmp_path, "report", "--baseline").code, report.read_bytes()) == (0, rendered)
    assert verify_trail(reports(tmp_path)).sound


@contextlib.contextmanager
def locked(connect: Connect, dsn: str) -> Iterator[None]:
    """Lock a compared table, so that a comparison waits."""
    connection = connect(dsn)
    connection.autocommit = False
    connection.execute("LOCK TABLE public.org_units IN ACCESS EXCLUSIVE MODE")
    yield
    connection.rollback()


def has_session(watcher: psycopg.Connection[Any], condition: str = "true") -> bool:
    """Return whether the program has a database session that meets a condition."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database() AND "
    return watcher.execute((query + condition).encode()).fetchone() is not None


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait at most a minute; a process that ends in the meantime is a failure."""
    end = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_second_run_of_a_day_exits_4_until_the_first_is_killed(company: str, connect: Connect, tmp_path: Path) -> None:
    watcher = connect(company)
    with locked(connect, company):
        first = start(tmp_path, "report", DATABASE_URL=company)
        wait_until(lambda: has_session(watcher, "wait_event_type = 'Lock'"), first)
        second = run(tmp_path, "report", DATABASE_URL=company)
        assert (second.code, len(second.err.strip().splitlines())) == (4, 1), second
        assert "already" in second.err
        first.kill()
        first.communicate()
    third = run(tmp_path, "report", DATABASE_URL=company)
    assert third.code == 0, third
    assert [report.verdict.value for report in verify_trail(reports(tmp_path)).records.values()] == ["PASS"]


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_run_interrupted_while_it_compares_ends_its_sessions_and_stores_nothing(
    number: signal.Signals, code: int, word: str, company: str, connect: Connect, tmp_path: Path
) -> None:
    watcher = connect(company)
    with locked(connect, company):
        process = start(tmp_path, "report", DATABASE_URL=company)
        wait_until(lambda: has_session(watcher, "wait_event_type = 'Lock'"), process)
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", f"orgrecon: {word}: nothing was decided.\n")
        assert process.returncode == code
        # The server would keep a session that waits for a lock, if the program only closed its connection.
        wait_until(lambda: not has_session(watcher))
    assert run(tmp_path, "render", today()).code == 2, "the ledger has evidence"
    assert not list(tmp_path.rglob("*.md"))


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_run_interrupted_after_its_evidence_is_stored_says_so(
    number: signal.Signals, code: int, word: str, tmp_path: Path
) -> None:
    day = today()
    program = signal_at(WRITE_REPORT, number)
    interrupted = run(tmp_path, "report", "--baseline", "--date", day, program=program)
    assert (interrupted.code, interrupted.out) == (code, "")
    assert interrupted.err == (
        f"orgrecon: {word}: the evidence of {day} is stored: run orgrecon render {day} to write its report.\n")
    assert not list(tmp_path.rglob("*.md"))
    assert run(tmp_path, "render", day).code == 0
    assert run(tmp_path, "report", "--baseline", "--date", day, program=program) == (
        code, "", f"orgrecon: {word}: nothing was decided.\n"), "the evidence of an earlier run was reported"


ANSWER_GATE = "orgrecon_pipeline.operations.gate.sources.answer_gate"
# Sends the signal when the first module of the command line is imported.
DURING_IMPORTS = """\
import os, signal, sys
class Finder:
    def find_spec(name, *_):
        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
# Sends the signal in a callback, in which the interpreter ignores exceptions.
IN_A_CALLBACK = """\
import os, signal, weakref
class Garbage: pass
garbage = Garbage()
import orgrecon_pipeline.operations.gate.sources as m
original, reference = m.answer_gate, weakref.ref(garbage, lambda _: os.kill(os.getpid(), signal.SIGINT))
def answer(*a, **k):
    global garbage
    del garbage
    return original(*a, **k)
m.answer_gate = answer
"""
# The alarm for the second try comes before the hook has returned, as on a busy machine.
IN_THE_HOOK = IN_A_CALLBACK + """\
set_timer = signal.setitimer
def ring_at_once(*a):
    signal.setitimer = set_timer
    set_timer(*a)
    os.kill(os.getpid(), signal.SIGALRM)
signal.setitimer = ring_at_once
"""


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
@pytest.mark.parametrize("program", [
    DURING_IMPORTS, IN_A_CALLBACK, IN_THE_HOOK, signal_at(ANSWER_GATE, signal.SIGINT),
], ids=["during imports", "in a callback", "in the hook", "in the operation"])
def test_command_interrupted_at_any_point_ends_with_one_line(
    number: signal.Signals, code: int, word: str, program: str, tmp_path: Path
) -> None:
    fresh = program is DURING_IMPORTS
    program = program.replace("SIGINT", number.name)
    assert run(tmp_path, "gate", program=program, fresh=fresh) == (
        code, "", f"orgrecon: {word}: nothing was decided.\n")


# Sends the signal while psycopg hands over the parse tree of each side, which shows a LIMIT.
IN_THE_NOTICES = """\
import os, signal, psycopg
add, remove = psycopg.Connection.add_notice_handler, psycopg.Connection.remove_notice_handler
def add_interrupted(self, callback):
    def interrupted(notice):
        os.kill(os.getpid(), signal.SIGINT)
        callback(notice)
    self.interrupted = interrupted
    add(self, interrupted)
psycopg.Connection.add_notice_handler = add_interrupted
psycopg.Connection.remove_notice_handler = lambda self, callback: remove(self, self.interrupted)
"""


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_run_interrupted_while_it_inspects_the_mapping_stores_nothing(
    number: signal.Signals, code: int, word: str, company: str, tmp_path: Path
) -> None:
    """A run that went on would lack the parse trees, and could compare a part of the rows."""
    program = IN_THE_NOTICES.replace("SIGINT", number.name)
    assert run(tmp_path, "report", program=program, DATABASE_URL=company) == (
        code, "", f"orgrecon: {word}: nothing was decided.\n")
    assert not list(tmp_path.rglob("*.md"))


def test_command_interrupted_while_its_log_is_on_a_full_disk_exits_with_the_code_of_the_signal(tmp_path: Path) -> None:
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n"
    assert run(tmp_path, "gate", program=full + signal_at(ANSWER_GATE, signal.SIGTERM)).code == 143


@pytest.mark.parametrize(("number", "code", "word"), SIGNALS)
def test_module_interrupted_in_the_exec_of_a_text_exits_with_the_code_of_the_signal(
    number: signal.Signals, code: int, word: str, tmp_path: Path
) -> None:
    program = DURING_IMPORTS.replace("os.kill(os.getpid(), signal.SIGINT)", f"exec('signal.raise_signal({number:d})')")
    (tmp_path / "sitecustomize.py").write_text(program)
    done = subprocess.run([sys.executable, "-m", "orgrecon_pipeline", "gate"], capture_output=True, text=True,
                          check=False, cwd=tmp_path, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert (done.returncode, done.stderr) == (code, f"orgrecon: {word}: nothing was decided.\n")


@pytest.mark.parametrize(("arguments", "closed"), [
    (["gate"], "stdout"), (["gate", "--format", "json"], "stdout"), (["--help"], "stdout"), (["--version"], "stdout"),
    (["report", "--baseline"], "stdout"), (["gate", "--date", "none"], "stderr"),
])
def test_closed_pipe_exits_141_which_is_no_verdict(arguments: list[str], closed: str, tmp_path: Path) -> None:
    process = start(tmp_path, *arguments, fresh="report" not in arguments)
    streams = {"stdout": process.stdout, "stderr": process.stderr}
    streams.pop(closed).close()  # long before the process has loaded what it writes with
    [other] = streams.values()
    assert other.read() == ""
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
