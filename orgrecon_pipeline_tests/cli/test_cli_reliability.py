"""Real processes that are killed, that meet each other, or that fail with a secret in their hands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.report.trail import verify_trail

Connect = Callable[[str], psycopg.Connection[Any]]
PATIENT = "scan: {settle_seconds: 0, rechecks: 0, lock_timeout_seconds: 120}\n"


def mapping(place: Path, scan: str = PATIENT) -> None:
    """The default mapping with other scan settings, in the working directory."""
    from orgrecon_pipeline.config.mapping_file import default_mapping

    text = default_mapping().model_dump_json(by_alias=True, exclude={"scan"})
    (place / "orgrecon.yaml").write_text(text[:-1] + ",\n" + '"scan": ' + scan.split(":", 1)[1] + "}", "utf-8")


def start(place: Path, *arguments: str, program: str = "", **environ: str) -> subprocess.Popen[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ORGRECON", "DAGSTER", "DATABASE", "PG"))}
    main = "from orgrecon_pipeline.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", f"{program}\n{main}", *arguments], cwd=place, env={**clean, **environ}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def run(place: Path, *arguments: str, program: str = "", **environ: str) -> tuple[int, str, str]:
    process = start(place, *arguments, program=program, **environ)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


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


@pytest.mark.parametrize("where", ["orgrecon_pipeline.operations.publish.write_report", "os.replace"])
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
    killer = killed_at("orgrecon_pipeline.operations.publish.write_report")
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


def test_two_runs_of_one_day_and_one_that_is_killed(company: str, connect: Connect, tmp_path: Path) -> None:
    watcher = connect(company)
    with held(connect, company):
        first = start(tmp_path, "report", DATABASE_URL=company)
        end = time.monotonic() + 60
        while not watcher.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'orgrecon' AND "
                                  "wait_event_type = 'Lock' AND datname = current_database()").fetchone():
            assert first.poll() is None, first.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)
        code, _, err = run(tmp_path, "report", DATABASE_URL=company)
        assert (code, len(err.strip().splitlines())) == (4, 1), err
        assert "already" in err
        first.kill()
        first.communicate()
    code, _, err = run(tmp_path, "report", DATABASE_URL=company)
    assert code == 0, err
    assert [record.verdict.value for record in verify_trail(reports(tmp_path)).records.values()] == ["PASS"]


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
    from orgrecon_pipeline.cli import main

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--date", date])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "is not a day" in said
    assert len(said.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# Secrets.

CANARY = "p@ss:w/rd?%#'\"é"
PIECES = [CANARY, quote(CANARY, safe=""), quote(CANARY), "p@ss", "p%40ss", "rd?%#", "rd%3F%25", "w/rd", "w%2Frd"]


def secrets_in(*texts: str | bytes) -> list[str]:
    told = b"\n".join(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text for text in texts)
    return [piece for piece in PIECES if piece.encode() in told]


def test_no_password_is_ever_told(company: str, connect: Connect, tmp_path: Path) -> None:
    admin, hidden = connect(company), quote(CANARY, safe="")
    right = company.replace("postgresql://postgres@", f"postgresql://postgres:{hidden}@")
    cases = {
        "all is well": (right, 0, "", ()),
        "nobody listens": (f"postgresql://u:{hidden}@127.0.0.1:1/orgs", 3, "", ()),
        "no such host": (f"postgresql://u:{hidden}@no-such-host.invalid/orgs", 3, "", ("--debug",)),
        "no such database": (right.replace("/test_", "/nothing_"), 3, "", ()),
        "not encoded": (f"postgresql://u:{CANARY}@127.0.0.1:1/orgs", 2, "", ()),
        "not encoded, and debugged": (f"postgresql://u:{CANARY}@127.0.0.1:1/orgs", 1, "", ("--debug",)),
        "an unknown parameter": (f"{right}&passwd={hidden}", 2, "", ()),
        "no URL at all": (f"host=x password='{CANARY}'", 2, "", ()),
        "a chained bug": (right, 3, (
            "import os, orgrecon_pipeline.source.compare as c\n"
            "def fail(*a, **k):\n"
            "    try: raise ValueError(os.environ['DATABASE_URL'])\n"
            "    except ValueError as e: raise RuntimeError(os.environ['DATABASE_URL']) from e\n"
            "c.prove_eyes = fail"), ()),
        "a killed session": (right, 3, (
            "import os, psycopg, orgrecon_pipeline.source.compare as c\n"
            "def fail(*a, **k):\n"
            "    with psycopg.connect(os.environ['DATABASE_URL'], autocommit=True) as x:\n"
            "        x.execute(\"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE \"\n"
            "                  \"application_name = 'orgrecon'  AND datname = current_database()\")\n"
            "c.prove_eyes = fail"), ()),
        "hidden rows": (right.replace("postgres:", "canary_reader:"), 3, "", ()),
    }
    admin.execute("DO $$ BEGIN CREATE ROLE canary_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO canary_reader")
    admin.execute("ALTER TABLE public.teams ENABLE ROW LEVEL SECURITY")
    for name, (dsn, expected, program, more) in cases.items():
        code, out, err = run(tmp_path, "report", *more, program=program, DATABASE_URL=dsn)
        assert code == expected, (name, code, err)
        assert secrets_in(out, err) == [], name
        if not more:
            assert "Traceback" not in err, (name, err)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".db", ".md"}
    assert secrets_in(*(path.read_bytes() for path in files)) == []
    assert secrets_in(f"x{CANARY}x") != [], "it has to be found where it is"
