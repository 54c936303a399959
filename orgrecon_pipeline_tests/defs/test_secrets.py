"""A password with special characters leaves no trace in files, output or GraphQL, whatever fails."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import zlib
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.defs.processes import graphql, webserver
from orgrecon_pipeline_tests.support.defs.world import World
from orgrecon_pipeline_tests.support.python_process import ORGRECON, run_python
from orgrecon_pipeline_tests.support.secret_canary import ENCODED, PASSWORD, files_with_password

# Each DSN fails in a different part of the program.
FAILING = {
    "not encoded": f"postgresql://u:{PASSWORD}@127.0.0.1:1/d",
    "not a URL": f"host=h password={PASSWORD}",
    "another scheme": f"mysql://u:{ENCODED}@127.0.0.1/d",
    "refused": f"postgresql://u:{ENCODED}@127.0.0.1:1/d",
    "no such host": f"postgresql://u:{ENCODED}@{ENCODED[:7]}.invalid/d",
    "no such socket": f"postgresql://u:{ENCODED}@/d?host=/nowhere",
    "an unknown parameter": f"postgresql://u@127.0.0.1:1/d?pasword={ENCODED}",
    "in the query": f"postgresql://u@127.0.0.1:1/d?password={ENCODED}",
    "an invalid port": f"postgresql://u@127.0.0.1:{ENCODED}/d",
}


# Runs the day job without the checks of the command line, and with full tracebacks.
RUN = "import os, datetime as d\nfrom orgrecon_pipeline.defs.in_process import materialise_day\n" \
      "from orgrecon_pipeline.operations.day_run import DayRequest\n" \
      "materialise_day(os.environ, d.datetime.now(d.timezone.utc).date(), DayRequest())"


def environment_of(world: World, home: Path, **changes: str) -> dict[str, str]:
    directory = world.directory / "work"
    directory.mkdir(exist_ok=True)
    environ = {**world.environ, "DAGSTER_HOME": str(home), **changes}
    del environ["ORGRECON_SIMULATED_NOW_FILE"]
    return environ


@pytest.mark.parametrize("dsn", FAILING.values(), ids=[name.replace(" ", "_") for name in FAILING])
@pytest.mark.parametrize("variable", ["DATABASE_URL", "ORGRECON_LEDGER_URL"])
@pytest.mark.slow
def test_failing_dsn_leaves_no_part_of_the_password(bare_world: World, home: Path, dsn: str, variable: str) -> None:
    """A bad ``DATABASE_URL`` makes the day INCONCLUSIVE or the run fail; a bad ledger URL makes the run fail."""
    bare_world.write_mapping(deadline_seconds=2)  # for which a run retries the ledger
    done = run_python(RUN, env=environment_of(bare_world, home, **{variable: dsn}), cwd=bare_world.directory / "work")
    assert ("RunFailed" in done.stderr) is (done.returncode != 0)
    assert done.returncode or variable == "DATABASE_URL"
    assert (home / "history/runs.db").exists()
    assert "k4n4ry" not in done.stdout + done.stderr
    assert not list(files_with_password(bare_world.directory))


def test_password_search_finds_compressed_and_plain_passwords(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE TABLE t (x BLOB)")
        database.execute("INSERT INTO t VALUES (?)", (zlib.compress(PASSWORD.encode()),))
        database.commit()
    assert list(files_with_password(tmp_path)) == [f"{tmp_path / 'a.db'}: t"]
    (tmp_path / "log").write_text(PASSWORD, encoding="utf-8")
    assert len(list(files_with_password(tmp_path))) == 2


@pytest.mark.slow
def test_working_dsn_leaves_no_part_of_the_password(world: World, home: Path) -> None:
    """Covers a PASS, an INCONCLUSIVE day, and what GraphQL returns about resources and runs."""
    dsn = world.environ["DATABASE_URL"].replace("postgres@", f"postgres:{ENCODED}@")
    environ = environment_of(world, home, DATABASE_URL=dsn)
    world.admin.execute("ALTER DATABASE {} RESET ALL".format(dsn.split("@/")[1].split("?")[0]))
    assert run_python(ORGRECON, "report", env=environ, cwd=world.directory / "work").returncode == 0
    world.admin.execute("DROP TABLE public.team_members")
    broken = run_python(ORGRECON, "report", env=environ, cwd=world.directory / "work")
    assert (broken.returncode, "k4n4ry" in broken.stdout + broken.stderr) == (3, False)
    with webserver(environ, home) as url:
        response = graphql(url, """{
          repositoriesOrError { ... on RepositoryConnection { nodes { name location { name }
            allTopLevelResourceDetails { name configuredValues { key value type } configFields { name } } } } }
          runsOrError { ... on Runs { results { runConfigYaml tags { key value } status
            eventConnection(afterCursor: null) { events { ... on MessageEvent { message } } } } } }
        }""")
    text = json.dumps(response, ensure_ascii=False)
    assert "k4n4ry" not in text
    [repository] = response["repositoriesOrError"]["nodes"]
    [resource] = repository["allTopLevelResourceDetails"]
    configured = {value["key"]: json.loads(value["value"]) for value in resource["configuredValues"]}
    assert configured["source_env"] == "DATABASE_URL"  # only the name of the variable
    assert "SUCCESS" in text
    assert not list(files_with_password(world.directory))
