"""A password that is hard to escape, in every way of failing: no part of it is found anywhere afterwards."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.defs.processes import graphql, webserver
from orgrecon_pipeline_tests.support.defs.world import World
from orgrecon_pipeline_tests.support.secret_canary import ENCODED, PASSWORD, files_with_password

# Each DSN fails in its own place, but for the last: the embedded server takes any password.
FAILING = {
    "not encoded": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d",
    "no URL at all": f"host=h password={PASSWORD}",
    "another scheme": f"mysql://u:{ENCODED}@127.0.0.1/d",
    "refused": f"postgresql://u:{ENCODED}@127.0.0.1:1/d",
    "no such host": f"postgresql://u:{ENCODED}@{ENCODED[:7]}.invalid/d",
    "no such socket": f"postgresql://u:{ENCODED}@/d?host=/nowhere",
    "an unknown parameter": f"postgresql://u@127.0.0.1:1/d?pasword={ENCODED}",
    "in the query": f"postgresql://u@127.0.0.1:1/d?password={ENCODED}",
    "a port that is none": f"postgresql://u@127.0.0.1:{ENCODED}/d",
}


# Through Dagster without what the command line checks before, and with every traceback.
RUN = "import os, datetime as d\nfrom orgrecon_pipeline.defs.in_process import run_day\n" \
      "run_day(os.environ, d.datetime.now(d.timezone.utc).date())"


def python(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], env=environ, cwd=environ["ORGRECON_CWD"],
        capture_output=True, text=True, check=False, timeout=120,
    )


def environ_of(world: World, home: Path, **changes: str) -> dict[str, str]:
    work = world.directory / "work"
    work.mkdir(exist_ok=True)
    environ = {**world.environ, "DAGSTER_HOME": str(home), "ORGRECON_CWD": str(work), **changes}
    del environ["ORGRECON_SIMULATED_NOW_FILE"]
    return environ


@pytest.mark.parametrize("dsn", FAILING.values(), ids=[name.replace(" ", "_") for name in FAILING])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "ORGRECON_LEDGER_URL"])
@pytest.mark.slow
def test_no_part_of_a_password_is_left(bare_world: World, home: Path, dsn: str, variable: str) -> None:
    """What the database's DSN cannot do is INCONCLUSIVE or a failed run; what the ledger's cannot, a failed run."""
    done = python(environ_of(bare_world, home, **{variable: dsn}), "-c", RUN)
    assert ("RunFailed" in done.stderr) is (done.returncode != 0)
    assert done.returncode or variable == "DATABASE_URL"
    assert (home / "history/runs.db").exists()
    assert "k4n4ry" not in done.stdout + done.stderr
    assert not list(files_with_password(bare_world.directory))


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE TABLE t (x BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (zlib.compress(PASSWORD.encode()),))
        database.commit()
    assert list(files_with_password(tmp_path)) == [f"{tmp_path / 'a.db'}: t"]
    (tmp_path / "log").write_text(PASSWORD, encoding="utf-8")
    assert len(list(files_with_password(tmp_path))) == 2


@pytest.mark.slow
def test_a_working_password_is_nowhere_either(world: World, home: Path) -> None:
    """A day that passes, one whose comparison breaks, and what GraphQL says of resources and runs."""
    dsn = world.environ["DATABASE_URL"].replace("postgres@", f"postgres:{ENCODED}@")
    environ = environ_of(world, home, DATABASE_URL=dsn)
    world.admin.execute("ALTER DATABASE {} RESET ALL".format(dsn.split("@/")[1].split("?")[0]))
    assert python(environ, "-m", "orgrecon_pipeline", "report").returncode == 0
    world.admin.execute("DROP TABLE public.team_members")
    broken = python(environ, "-m", "orgrecon_pipeline", "report")
    assert (broken.returncode, "k4n4ry" in broken.stdout + broken.stderr) == (3, False)
    with webserver(environ, home) as url:
        told = graphql(url, """{
          repositoriesOrError { ... on RepositoryConnection { nodes { name location { name }
            allTopLevelResourceDetails { name configuredValues { key value type } configFields { name } } } } }
          runsOrError { ... on Runs { results { runConfigYaml tags { key value } status
            eventConnection(afterCursor: null) { events { ... on MessageEvent { message } } } } } }
        }""")
    text = json.dumps(told, ensure_ascii=False)
    assert "k4n4ry" not in text
    assert '"DATABASE_URL"' in text  # the resource names its variable
    assert "SUCCESS" in text
    assert not list(files_with_password(world.directory))
