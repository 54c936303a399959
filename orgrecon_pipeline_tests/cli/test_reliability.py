"""Real processes that are killed, that meet each other, or that fail with a secret in their hands."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.domain.mapping import GatePolicy
from orgrecon_pipeline.report.verify import verify_trail
from orgrecon_pipeline_tests.support.cli.process import run, run_in_turn, start
from orgrecon_pipeline_tests.support.secret_canary import ENCODED, PASSWORD, files_with_password, with_password

Connect = Callable[[str], psycopg.Connection[Any]]
PATIENT = "scan: {settle_seconds: 0, rechecks: 0, lock_timeout_seconds: 120}\n"


def mapping(place: Path, scan: str = PATIENT) -> None:
    """The default mapping with other scan settings, in the working directory."""
    text = default_mapping().model_dump_json(by_alias=True, exclude={"scan"})
    (place / "orgrecon.yaml").write_text(text[:-1] + ",\n" + '"scan": ' + scan.split(":", 1)[1] + "}", "utf-8")


@pytest.fixture
def company(company_database: str, connect: Connect, tmp_path: Path) -> str:
    seed(connect(company_database), tenants=3, users_per_tenant=4)
    mapping(tmp_path)
    return company_database


def reports(place: Path) -> Path:
    return place / "docs" / "runbooks" / "org-v23-reconciliation-reports"


def today() -> str:
    return f"{datetime.now(timezone.utc):%F}"


# Killed.

def killed_at(where: str) -> str:
    """A program that kills itself with SIGKILL instead of calling that function."""
    module, name = where.rsplit(".", 1)
    return f"import os, signal, {module} as m; m.{name} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize("where", ["orgrecon_pipeline.operations.trail.publish.write_report", "os.replace"])
def test_a_baseline_killed_between_ledger_and_file(tmp_path: Path, where: str) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for place in (undisturbed, killed):
        place.mkdir()
    day = f"{datetime.now(timezone.utc) - timedelta(days=1):%F}"
    arguments = ("report", "--baseline", "--date", day)
    assert run(undisturbed, *arguments)[0] == 0
    assert run(killed, *arguments, program=killed_at(where))[0] == -signal.SIGKILL
    assert list(reports(killed).glob("*.md")) == []
    assert run(killed, *arguments)[0] == 0
    [one], [other] = ([*reports(place).iterdir()] for place in (undisturbed, killed))
    assert other.name == f"{day}.md", "and nothing lies beside it"
    assert one.read_bytes() == other.read_bytes()


def test_a_live_run_killed_between_ledger_and_file(company: str, tmp_path: Path) -> None:
    killer = killed_at("orgrecon_pipeline.operations.trail.publish.write_report")
    assert run(tmp_path, "report", program=killer, DATABASE_URL=company)[0] == -signal.SIGKILL
    assert not list(tmp_path.rglob("*.md"))
    day = today()
    assert run(tmp_path, "render", day)[0] == 0
    first = (reports(tmp_path) / f"{day}.md").read_bytes()
    assert b"| live |" in first or b"live" in first
    (reports(tmp_path) / f"{day}.md").unlink()
    code, _, _ = run(tmp_path, "report", "--baseline")  # any run repairs it
    assert (code, (reports(tmp_path) / f"{day}.md").read_bytes()) == (0, first)
    assert verify_trail(reports(tmp_path)).sound


# Two at once.

@contextlib.contextmanager
def held(connect: Connect, dsn: str) -> Iterator[psycopg.Connection[Any]]:
    holder = connect(dsn)
    holder.autocommit = False
    holder.execute("LOCK TABLE public.org_units IN ACCESS EXCLUSIVE MODE")
    yield holder
    holder.rollback()


def sessions(watcher: psycopg.Connection[Any], more: str = "") -> bool:
    """Whether the server has a session of ours (that waits, and so on)."""
    query = "SELECT FROM pg_stat_activity WHERE application_name = 'orgrecon' AND datname = current_database()"
    return watcher.execute(query + more).fetchone() is not None


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_runs_of_one_day_and_one_that_is_killed(company: str, connect: Connect, tmp_path: Path) -> None:
    watcher = connect(company)
    with held(connect, company):
        first = start(tmp_path, "report", DATABASE_URL=company)
        until(lambda: sessions(watcher, " AND wait_event_type = 'Lock'"), first)
        code, _, err = run(tmp_path, "report", DATABASE_URL=company)
        assert (code, len(err.strip().splitlines())) == (4, 1), err
        assert "already" in err
        first.kill()
        first.communicate()
    code, _, err = run(tmp_path, "report", DATABASE_URL=company)
    assert code == 0, err
    assert [record.verdict.value for record in verify_trail(reports(tmp_path)).records.values()] == ["PASS"]


# Interrupted.

SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]


@pytest.mark.parametrize(("number", "code", "how"), SIGNALS)
def test_a_run_that_is_interrupted_while_it_compares(
    number: signal.Signals, code: int, how: str, company: str, connect: Connect, tmp_path: Path
) -> None:
    watcher = connect(company)
    with held(connect, company):
        process = start(tmp_path, "report", DATABASE_URL=company)
        until(lambda: sessions(watcher, " AND wait_event_type = 'Lock'"), process)
        process.send_signal(number)
        assert process.communicate(timeout=60) == ("", f"orgrecon: {how}: nothing was decided.\n")
        assert process.returncode == code
        until(lambda: not sessions(watcher))  # though the lock is held: a client that is gone ends no statement
    assert run(tmp_path, "render", today())[0] == 2, "the ledger has no evidence"
    assert not list(tmp_path.rglob("*.md"))


def interrupted_at(where: str, number: signal.Signals) -> str:
    """A program that gets the signal when it calls that function."""
    return killed_at(where).replace("SIGKILL", number.name)


@pytest.mark.parametrize(("number", "code", "how"), SIGNALS)
def test_a_run_that_is_interrupted_when_its_evidence_is_kept(
    number: signal.Signals, code: int, how: str, tmp_path: Path
) -> None:
    day = today()
    late = interrupted_at("orgrecon_pipeline.operations.trail.publish.write_report", number)
    assert run(tmp_path, "report", "--baseline", "--date", day, program=late) == (
        code, "", f"orgrecon: {how}: the evidence of {day} is stored: run orgrecon render {day} to write its report.\n")
    assert not list(tmp_path.rglob("*.md"))
    assert run(tmp_path, "render", day)[0] == 0
    assert run(tmp_path, "report", "--baseline", "--date", day, program=late) == (
        code, "", f"orgrecon: {how}: nothing was decided.\n"), "what was kept is of an earlier run"


@pytest.mark.parametrize(("number", "code", "how"), SIGNALS)
def test_a_command_that_is_interrupted_whenever(
    number: signal.Signals, code: int, how: str, tmp_path: Path
) -> None:
    """Even while it is loaded: nobody is shown where that was."""
    loading = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(name, *_):\n"
        f"        if name == 'typer': os.kill(os.getpid(), signal.{number.name})\n"
        "sys.meta_path.insert(0, Finder)"
    )
    # In a callback of the import system an exception is ignored, and the command would go on.
    in_a_callback = (
        "import importlib._bootstrap as b, os, signal, weakref\n"
        "def die(_): os.kill(os.getpid(), signal.SIGNAL)\n"
        "die.__code__ = die.__code__.replace(co_filename=b._get_module_lock.__code__.co_filename)\n"
        "class Lock: pass\n"
        "lock = Lock()\n"
        "import orgrecon_pipeline.operations.gate.sources as m\n"
        "was, reference = m.answer_gate, weakref.ref(lock, die)\n"
        "def answer(*a, **k):\n"
        "    global lock\n"
        "    del lock\n"
        "    return was(*a, **k)\n"
        "m.answer_gate = answer"
    ).replace("SIGNAL", number.name)
    judging = interrupted_at("orgrecon_pipeline.operations.gate.sources.answer_gate", number)
    for program in (loading, in_a_callback, judging):
        assert run(tmp_path, "gate", program=program, fresh=program is loading) == (code, "", f"orgrecon: {how}: nothing was decided.\n")


# What stands around the command.

def test_what_stands_around_a_command_changes_no_exit_code(tmp_path: Path) -> None:
    """A terminal that cannot show a letter, no standard output, a Dagster home that is none: no verdict turns."""
    for encoding in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        code, out, err = run(tmp_path, "gate", **encoding)
        assert (code, err) == (1, ""), err
        assert "\\u" in out
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("storage: {postgres: {postgres_url: 'k4n4ry1'", encoding="utf-8")
    homes = ("nowhere", str(tmp_path / "nowhere"), str(tmp_path / "home"))
    for seen in run_in_turn(tmp_path, [
        {"arguments": ["report", "--baseline", "--debug"], "environ": {"DAGSTER_HOME": home}} for home in homes
    ]):
        assert seen["code"] == 2, seen
        assert "DAGSTER_HOME names no Dagster instance that can be used" in seen["err"].splitlines()[-1]
    (tmp_path / "home" / "dagster.yaml").unlink()


@pytest.mark.parametrize(("arguments", "closed"), [
    (["gate"], "stdout"), (["gate", "--format", "json"], "stdout"), (["--help"], "stdout"), (["--version"], "stdout"),
    (["report", "--baseline"], "stdout"), (["gate", "--date", "none"], "stderr"),
])
def test_a_pipe_that_nobody_reads_is_no_verdict(arguments: list[str], closed: str, tmp_path: Path) -> None:
    """Exit 1 would say FAIL or CLOSED."""
    process = start(tmp_path, *arguments, fresh="report" not in arguments)
    streams = {"stdout": process.stdout, "stderr": process.stderr}
    streams.pop(closed).close()  # long before the process has loaded what it writes with
    [other] = streams.values()
    assert other.read() == ""
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE


def test_a_gate_without_any_evidence_says_where_it_looked(tmp_path: Path) -> None:
    """A directory or a ledger that is not there is not a day that is missing."""
    (tmp_path / "empty").mkdir()
    nothing = {"ORGRECON_OUTPUT_DIR": "nowhere"}
    asked: dict[str, tuple[list[str], dict[str, str]]] = {
        "nowhere is not there: check --output-dir": (["--output-dir", "nowhere"], {}),
        "empty holds no report: check --output-dir": (["--output-dir", "empty"], {}),
        "there is no ledger, and nowhere is not there: run orgrecon report once, or check ORGRECON_LEDGER_URL": (
            [], {**nothing, "ORGRECON_LEDGER_URL": "sqlite:///gone.db"}),
    }
    told = run_in_turn(tmp_path, [{"arguments": ["gate", "--format", "json", *arguments], "environ": environ}
                                  for arguments, environ in asked.values()])
    for reason, seen in zip(asked, told, strict=True):
        assert (seen["code"], json.loads(seen["out"])["reason"], seen["err"]) == (1, reason, "")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_report_that_is_not_sound_is_named_by_every_run(tmp_path: Path) -> None:
    days = [f"{datetime.now(timezone.utc) - timedelta(days=back):%F}" for back in (2, 1)]
    first, second = [{"arguments": ["report", "--baseline", "--date", day], "environ": {}} for day in days]
    assert [seen["err"] for seen in run_in_turn(tmp_path, [first, second])] == ["", ""]
    edited = reports(tmp_path) / f"{days[0]}.md"
    edited.write_text(edited.read_text("utf-8").replace("PASS", "FAIL"), "utf-8")
    [again, itself] = run_in_turn(tmp_path, [second, first])
    assert again["code"] == 0
    assert f"{edited.name} " in again["err"]
    assert len(again["err"].splitlines()) == 1
    assert (itself["code"], itself["err"]) == (0, ""), "it is written anew"


# Time zones.

@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati"])
def test_the_day_is_utc_whatever_the_host_says(tmp_path: Path, zone: str) -> None:
    before = today()
    assert run(tmp_path, "report", "--baseline", TZ=zone)[0] == 0
    [path] = reports(tmp_path).iterdir()
    assert path.stem in (before, today())


@pytest.mark.parametrize("date", [
    "20260101", "2026-W01-1", "٢٠٢٦-٠١-٠١", "2026-01-01\n", "../2026-01-01", "2027-02-29", "2026-1-1", "",
    " 2026-01-01",
    "2026-01-01T00:00:00", "today",
])
@pytest.mark.parametrize("command", [["report", "--baseline"], ["gate"]])
def test_malformed_dates(
    date: str, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orgrecon_pipeline.cli.app import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--date", date])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "is not a day" in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("date", ["0001-01-01", "0002-12-31", "9998-01-01", "9999-12-31", "0003-01-01", "9997-12-31"])
def test_the_ends_of_the_calendar(
    date: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orgrecon_pipeline.cli.app import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "longest.yaml").write_text(
        default_mapping().model_copy(update={"gate": GatePolicy(window_days=366)}).model_dump_json(
            by_alias=True, exclude_none=True), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["gate", "--date", date, "--mapping", "longest.yaml"])
    assert ended.value.code == (1 if date in ("0003-01-01", "9997-12-31") else 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == (ended.value.code == 2)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("source", [[], ["--output-dir", "."], ["--dagster-url", "http://127.0.0.1:1"]])
def test_more_live_days_than_the_window_has_are_refused(
    source: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from orgrecon_pipeline.cli.app import main

    monkeypatch.chdir(tmp_path)
    for asked, code in ((7, 1), (8, 2)):
        with pytest.raises(SystemExit) as ended:
            main(["gate", "--require-live", str(asked), *source])
        assert ended.value.code == code
    assert capsys.readouterr().err == (
        "orgrecon: --require-live 8 is more than the 7 days of the window, and the gate could never open: "
        "ask for 7 at most, or raise gate.window_days in the mapping.\n")


# Secrets.

def test_no_password_is_ever_told(company: str, connect: Connect, tmp_path: Path) -> None:
    """In no failure, with and without tracebacks, in no file, Dagster's storages and the metrics included."""
    admin = connect(company)
    admin.execute("DO $$ BEGIN CREATE ROLE canary_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO canary_reader")
    admin.execute("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    nowhere = f"postgresql://u:{ENCODED}@127.0.0.1:1/orgs"
    right = with_password({"": company})[""]
    cases: dict[str, tuple[int, dict[str, str]]] = {
        "all is well": (0, {}),
        "nobody listens": (3, {"DATABASE_URL": nowhere}),
        "no such host": (3, {"DATABASE_URL": f"postgresql://u:{ENCODED}@no-such-host.invalid/orgs"}),
        "no such database": (3, {"DATABASE_URL": right.replace("/test_", "/nothing_")}),
        "not encoded": (2, {"DATABASE_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/orgs"}),
        "an unknown parameter": (2, {"DATABASE_URL": f"{right}&passwd={ENCODED}"}),
        "a value that is none": (2, {"DATABASE_URL": f"{right}&sslmode={ENCODED}"}),
        "a number that is none": (2, {"DATABASE_URL": f"{right}&connect_timeout={ENCODED}"}),
        "a setting that is none": (3, {"DATABASE_URL": f"{right}&options=-c%20work_mem%3D{ENCODED}"}),
        "no URL at all": (2, {"DATABASE_URL": f"host=x password='{PASSWORD}'"}),
        "a killed session": (3, {"ended": "compare.one_database.run_self_test"}),
        "hidden rows": (3, {"DATABASE_URL": right.replace("postgres:", "canary_reader:")}),
        "a bug in the comparison": (3, {"bug": "compare.one_database.run_self_test"}),
        "a bug in the report": (3, {"bug": "operations.trail.publish.write_report"}),
        "a bug in the command": (3, {"bug": "operations.report_request.check_writable"}),
        "a ledger that nobody serves": (2, {"ORGRECON_LEDGER_URL": nowhere}),
        "a ledger's URL that is none": (2, {"ORGRECON_LEDGER_URL": f"postgresql://u:{PASSWORD}@127.0.0.1:1/l"}),
        "a ledger's parameter": (2, {"ORGRECON_LEDGER_URL": f"{right}&connect_timeout={ENCODED}"}),
        "a bug in the ledger": (3, {"bug": "ledger.append.LedgerWriter.append", "variable": "ORGRECON_LEDGER_URL",
                                    "ORGRECON_LEDGER_URL": right}),
    }
    home = tmp_path / "dagster"
    home.mkdir()
    asked: dict[tuple[str, bool], Any] = {
        (name, debugged): {
            "arguments": ["report", *(["--debug"] if debugged else [])],
            "environ": {"DATABASE_URL": right, "DAGSTER_HOME": str(home),
                        **{k: v for k, v in how.items() if k.isupper()}},
            **{k: v for k, v in how.items() if k.islower()},
        }
        for name, (code, how) in cases.items()
        for debugged in ((False, True) if code == 2 or "bug" in how else (False,))  # the others raise nothing
    }
    told = dict(zip(asked, run_in_turn(tmp_path, asked.values()), strict=True))
    for (name, debugged), seen in told.items():
        assert seen["code"] == cases[name][0], (name, debugged, seen)
        assert ("Traceback" in seen["err"]) <= debugged, (name, seen)
    told_of_a_bug = told["a bug in the command", True]["err"]
    for words in ("ValueError: …", "The above exception was the direct cause", "RuntimeError: '…'", "report_request.py"):
        assert words in told_of_a_bug, "the chain of causes is there for a developer, what the environment hides is not"
    assert (home / "history" / "runs.db").exists()
    assert run(tmp_path, "metrics", "--textfile", str(tmp_path / "orgrecon.prom"))[0] == 0
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in kept} >= {".db", ".md", ".prom"}
    (tmp_path / "told").write_text(f"x{PASSWORD}x", encoding="utf-8")
    assert list(files_with_password(tmp_path)) == [str(tmp_path / "told")], "it has to be found where it is"
    (tmp_path / "told").unlink()
