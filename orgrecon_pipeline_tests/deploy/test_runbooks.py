"""Tests of the runbooks: links resolve, and every command runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline_tests.support.deploy.runbook_world import REPORTS, Step, World, commands
from orgrecon_pipeline_tests.support.deploy.tools import ROOT, cluster_tool, run

RUNBOOKS = ROOT / "docs/runbooks"
PAGES = sorted(page for page in RUNBOOKS.rglob("*.md") if not page.name.startswith("2"))
WITH_COMMANDS = [page for page in PAGES if commands(page)]
CUTOVER = RUNBOOKS / "org-v23-phase2-cutover.md"
REPORT = f"orgrecon report --output-dir {REPORTS}"
SOURCE, LEDGER = "runbook_source", "runbook_ledger"
# Tests that pin files of `deploy`, which a company must not have to edit.
PINNED_TESTS = [f"orgrecon_pipeline_tests/deploy/test_{name}.py"
                for name in ("cluster", "dagster", "overlays", "pod_security")]


def _id(page: Path) -> str:
    return str(page.relative_to(RUNBOOKS))


@pytest.fixture
def world(tmp_path: Path, company_database: str, new_database: Callable[..., str]) -> World:
    built = World(tmp_path, company_database, new_database())
    built.build()
    return built


@pytest.fixture(scope="module")
def live_week(
    tmp_path_factory: pytest.TempPathFactory, server: EmbeddedServer, maintenance: psycopg.Connection[Any],
    template: str,
) -> Iterator[World]:
    """A world with a clean live week. Change only copies of it."""
    maintenance.execute(f"CREATE DATABASE {SOURCE} TEMPLATE {template}")
    maintenance.execute(f"CREATE DATABASE {LEDGER}")
    built = World(tmp_path_factory.mktemp("week"), server.dsn(SOURCE), server.dsn(LEDGER))
    built.build()
    built.live_week()
    yield built
    for name in (SOURCE, LEDGER):
        maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def after_week(
    live_week: World, maintenance: psycopg.Connection[Any], new_database: Callable[..., str], tmp_path: Path
) -> Iterator[World]:
    """A copy of the live week. The source keeps its name, which the evidence pins."""
    maintenance.execute(f"CREATE DATABASE {SOURCE}_before TEMPLATE {SOURCE}")
    yield live_week.copy(tmp_path, new_database(LEDGER))
    maintenance.execute(f"DROP DATABASE {SOURCE} WITH (FORCE)")
    maintenance.execute(f"ALTER DATABASE {SOURCE}_before RENAME TO {SOURCE}")


def exit_codes(steps: list[Step]) -> list[tuple[str, int]]:
    return [(step.command, step.code) for step in steps]


def assert_success(steps: list[Step]) -> None:
    for step in steps:
        assert step.code == 0, f"{step.command}\n{step.output}"


def _tenant_with_rows(connection: psycopg.Connection[tuple[str, ...]]) -> str:
    [(tenant,)] = connection.execute("SELECT tenant_id FROM public.team_members ORDER BY 1 LIMIT 1").fetchall()
    return tenant


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_runbook_links_and_anchors_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        parts = urlsplit(target)
        if parts.scheme:
            continue
        file = (page.parent / parts.path).resolve() if parts.path else page
        assert file.exists(), target
        if parts.fragment:
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert parts.fragment in anchors, target


def test_runbook_index_lists_every_runbook() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    for page in RUNBOOKS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index


def test_cutover_runbook_requires_live_evidence_and_has_all_sections() -> None:
    page = CUTOVER.read_text()
    assert "orgrecon gate --require-live 7" in commands(CUTOVER, "Wave 3: all tenants")
    for heading in ("Preconditions", "Decide", "Flip the flag", "What to watch", "Abort and roll back", "Afterwards"):
        assert re.search(rf"^## \d\. {heading}$", page, re.MULTILINE), heading


@pytest.mark.slow
def test_cutover_commands_succeed_with_an_open_gate(after_week: World) -> None:
    steps = after_week.follow(commands(CUTOVER))
    assert_success(steps)
    assert any("GATE OPEN" in step.output for step in steps if step.command.startswith("orgrecon gate"))


@pytest.mark.slow
def test_cutover_waves_release_clean_tenants_only(after_week: World) -> None:
    drifting = after_week.environ["TENANT"]
    with psycopg.connect(after_week.source, autocommit=True) as connection:
        connection.execute("DELETE FROM public.org_unit_memberships WHERE tenant_id = %s", [drifting])
    [compared] = after_week.follow([REPORT])
    assert compared.code == 1
    waves = {heading: after_week.follow(commands(CUTOVER, heading)) for heading in (
        "Wave 1: the internal tenant", "Wave 2: a cohort", "Wave 3: all tenants")}
    released = [all(step.code == 0 for step in steps) for steps in waves.values()]
    assert released == [True, True, False], waves
    switched = (after_week.checkout / "switched.txt").read_text().splitlines()
    assert len(switched) == 5
    assert drifting not in switched


@pytest.mark.slow
def test_cutover_backs_out_one_tenant_and_keeps_the_others(after_week: World) -> None:
    for wave in ("Wave 1: the internal tenant", "Wave 2: a cohort"):
        assert_success(after_week.follow(commands(CUTOVER, wave)))
    drifting = after_week.environ["TENANT"]
    with psycopg.connect(after_week.source, autocommit=True) as connection:
        connection.execute("DELETE FROM public.org_unit_memberships WHERE tenant_id = %s", [drifting])
    compared, watched = after_week.follow(commands(CUTOVER, "4. What to watch"))
    assert (compared.code, watched.code) == (1, 1)
    assert drifting in watched.output
    steps = after_week.follow(commands(CUTOVER, "One tenant"))
    assert [step.command for step in steps if step.code] == ['orgrecon diff --tenant "$TENANT"']
    assert drifting not in (after_week.checkout / "switched.txt").read_text().splitlines()


def test_cutover_gates_are_closed_without_live_days(world: World) -> None:
    assert_success(world.follow([f"orgrecon report --baseline --output-dir {REPORTS}"]))
    asked = world.follow(command for command in commands(CUTOVER) if command in (
        'orgrecon gate --tenant "$INTERNAL_TENANT"', "orgrecon gate --require-live 7"))
    assert [step.code for step in asked] == [1, 1]
    assert all("CLOSED" in step.output for step in asked)


@pytest.mark.slow
def test_install_commands_succeed_and_leave_the_tests_of_the_deployment_green(world: World) -> None:
    for name in ("orgrecon_pipeline", "orgrecon_pipeline_tests", "docs"):
        shutil.copytree(ROOT / name, world.checkout / name, ignore=shutil.ignore_patterns("__pycache__", "2*.md"),
                        dirs_exist_ok=True)
    for name in (".yamllint", ".gitignore", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, world.checkout)
    write_mapping, *others = commands(RUNBOOKS / "install.md")
    adapt_mapping = "sed -i 's/settle_seconds: 5/settle_seconds: 0/' orgrecon.yaml"
    steps = world.follow([write_mapping, adapt_mapping, *others])
    closed = [step for step in steps if step.command == "orgrecon gate"]
    assert_success([step for step in steps if step not in closed])
    # The first report runs in the cluster, which this test does not have: there is no evidence yet.
    assert [step.code for step in closed] == [1]
    assert "kubectl apply -k deploy/kustomize/company" in world.calls()
    own = run(cluster_tool("kubectl"), "kustomize", str(world.checkout / "deploy/kustomize/company"))
    for value in ("image: registry.internal/orgrecon:7", "the CA of the company", world.environ["REPOSITORY_URL"],
                  "name: orgrecon-dagster", "settle_seconds: 0"):
        assert value in own
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-m", "not slow", *PINNED_TESTS],
        cwd=world.checkout, env={**world.environ, "PYTHONPATH": str(world.checkout)}, capture_output=True, text=True,
        check=False)
    assert done.returncode == 0, done.stdout
    assert run("git", "status", "--porcelain", "--", "deploy", cwd=world.checkout) == "?? deploy/kustomize/company/\n"


@pytest.mark.slow
def test_cluster_reports_are_copied_to_the_repository_with_earlier_baselines(after_week: World) -> None:
    shutil.copytree(after_week.checkout / REPORTS, after_week.folder / "cluster")
    for report in (after_week.checkout / REPORTS).glob("2*.md"):
        report.unlink()
    (after_week.folder / "cluster/README.md").unlink()
    # Baselines of the workflow from before the first run in the cluster, which the cluster's ledger lacks.
    first = min((after_week.folder / "cluster").glob("2*.md")).stem
    before = [str(date.fromisoformat(first) - timedelta(days=back)) for back in (2, 1)]
    assert_success(after_week.follow([
        f"ORGRECON_LEDGER_URL=sqlite:///../ci.db orgrecon report --baseline --date {day} --output-dir {REPORTS}"
        for day in before]))
    assert_success(after_week.follow([f"git add {REPORTS}", "git commit -q -m baselines", "git push -q origin main"]))
    assert "MISSING" in (after_week.folder / f"cluster/{first}.md").read_text()
    steps = after_week.follow(commands(RUNBOOKS / "copy-reports-to-repository.md"))
    assert_success(steps)
    assert len(list((after_week.checkout / REPORTS).glob("2*.md"))) == 9
    copied = (after_week.checkout / REPORTS / f"{first}.md").read_text()
    assert all(f"| {day} | PASS | 0 | 0 | 0 | 0 | – | – | baseline |" in copied for day in before)
    assert not (after_week.checkout / "from-cluster").exists()
    assert any(call.startswith("gh pr create") for call in after_week.calls())


@pytest.mark.slow
def test_ledger_backup_restore_and_rebuild_commands_succeed(
    after_week: World, new_database: Callable[..., str]
) -> None:
    steps = commands(RUNBOOKS / "ledger-backup.md")
    restore = next(i for i, command in enumerate(steps) if command.startswith("pg_restore"))
    rebuild = next(i for i, command in enumerate(steps) if i > restore and command.startswith("orgrecon verify docs"))
    sqlite = [command for command in steps[:restore] if "sqlite3" in command]
    assert_success(after_week.follow([command for command in steps[:restore] if command not in sqlite]))
    after_week.environ["ORGRECON_LEDGER_URL"] = new_database()
    assert_success(after_week.follow(steps[restore:rebuild]))
    after_week.environ["ORGRECON_LEDGER_URL"] = new_database()
    assert_success(after_week.follow(steps[rebuild:]))
    after_week.environ.pop("ORGRECON_LEDGER_URL")
    assert_success(after_week.follow([f"orgrecon import {REPORTS}", *sqlite]))
    assert (after_week.checkout / "orgrecon-ledger-copy.db").stat().st_size


@pytest.mark.slow
def test_moved_source_is_accepted_and_the_gate_stays_open(after_week: World, new_database: Callable[..., str]) -> None:
    before, *after = commands(RUNBOOKS / "move-the-source.md")
    assert_success(after_week.follow([before]))
    name = psycopg.conninfo.conninfo_to_dict(after_week.source)["dbname"]
    after_week.environ["DATABASE_URL"] = new_database(name)
    steps = after_week.follow(after)
    assert_success([step for step in steps if step.command.startswith("kubectl")])
    steps = [step for step in steps if not step.command.startswith("kubectl")]
    assert exit_codes(steps) == [("orgrecon doctor", steps[0].code), (REPORT, 3), (steps[2].command, 0), (REPORT, 0)]
    assert steps[2].command.startswith("orgrecon accept-source --reason ")
    assert_success(after_week.follow(["orgrecon gate --require-live 7"]))


@pytest.mark.slow
def test_drift_runbook_commands_report_drift_and_write_repair_sql(after_week: World) -> None:
    with psycopg.connect(after_week.source, autocommit=True) as connection:
        tenant = _tenant_with_rows(connection)
        connection.execute("DELETE FROM public.org_unit_memberships WHERE tenant_id = %s", [tenant])
    steps = after_week.follow(commands(RUNBOOKS / "alerts/OrgreconDriftFound.md"))
    assert [step.code for step in steps if step.command.startswith("orgrecon report")] == [1, 1]
    [closed] = [step for step in steps if step.command == "orgrecon gate"]
    assert closed.code == 1
    assert_success([step for step in steps if step.command.startswith("orgrecon repair-sql")])
    assert (after_week.checkout / "repair.sql").stat().st_size


@pytest.mark.slow
def test_inconclusive_runbook_commands_decide_the_day(after_week: World) -> None:
    with psycopg.connect(after_week.source, autocommit=True) as connection:
        tenant = _tenant_with_rows(connection)
        for table in ("org_unit_memberships", "team_members", "org_units", "teams"):
            connection.execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", [tenant])
    steps = after_week.follow(commands(RUNBOOKS / "alerts/OrgreconInconclusive.md"))
    assert [step.code for step in steps if step.command == REPORT] == [3, 0], "first lost coverage, then acknowledged"
    assert_success([step for step in steps if step.command.startswith(("orgrecon acknowledge", "kubectl"))])


WITH_OWN_TEST = {
    "org-v23-phase2-cutover.md", "install.md", "copy-reports-to-repository.md", "ledger-backup.md",
    "move-the-source.md", "OrgreconDriftFound.md", "OrgreconInconclusive.md",
}


@pytest.mark.slow
def test_other_runbook_commands_succeed_after_a_clean_week(after_week: World) -> None:
    # Many pages share commands: run each command once, in the order of first appearance.
    others = [page for page in WITH_COMMANDS if page.name not in WITH_OWN_TEST]
    assert len(others) > 8
    assert_success(after_week.follow(dict.fromkeys(command for page in others for command in commands(page))))
