"""The runbooks: every command is run, every link leads somewhere, every option exists."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from orgrecon_pipeline_tests.support.deploy.runbook_world import REPORTS, Step, World, commands
from orgrecon_pipeline_tests.support.deploy.tools import ROOT

RUNBOOKS = ROOT / "docs/runbooks"
PAGES = sorted(page for page in RUNBOOKS.rglob("*.md") if not page.name.startswith("2"))
WITH_COMMANDS = [page for page in PAGES if commands(page)]
REPORT = f"orgrecon report --output-dir {REPORTS}"


def _id(page: Path) -> str:
    return str(page.relative_to(RUNBOOKS))


@pytest.fixture
def world(tmp_path: Path, company_database: str, new_database: Callable[..., str]) -> World:
    built = World(tmp_path, company_database, new_database())
    built.build()
    return built


def ended(steps: list[Step]) -> list[tuple[str, int]]:
    return [(step.command, step.code) for step in steps]


def must_end_well(steps: list[Step]) -> None:
    for step in steps:
        assert step.code == 0, f"{step.command}\n{step.output}"


def _tenant_with_rows(connection: psycopg.Connection[tuple[str, ...]]) -> str:
    [(tenant,)] = connection.execute("SELECT tenant_id FROM public.team_members ORDER BY 1 LIMIT 1").fetchall()
    return tenant


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_link_leads_to_a_file_and_every_anchor_to_a_heading(page: Path) -> None:
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


def test_the_index_names_every_runbook() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    for page in RUNBOOKS.glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index


def test_the_cutover_asks_for_live_evidence_and_names_who_decides_and_the_way_back() -> None:
    page = (RUNBOOKS / "org-v23-phase2-cutover.md").read_text()
    assert "orgrecon gate --require-live 7" in commands(RUNBOOKS / "org-v23-phase2-cutover.md")
    for heading in ("Preconditions", "Decide", "Flip the flag", "What to watch", "Abort and roll back", "Afterwards"):
        assert re.search(rf"^## \d\. {heading}$", page, re.MULTILINE), heading


@pytest.mark.slow
def test_the_cutover_followed_to_the_letter_with_an_open_gate(world: World) -> None:
    world.live_week()
    steps = world.follow(commands(RUNBOOKS / "org-v23-phase2-cutover.md"))
    must_end_well(steps)
    assert any("GATE OPEN" in step.output for step in steps if step.command.startswith("orgrecon gate"))


def test_the_cutover_stops_at_its_first_command_without_live_days(world: World) -> None:
    must_end_well(world.follow([f"orgrecon report --baseline --output-dir {REPORTS}"]))
    [first, *_] = world.follow(commands(RUNBOOKS / "org-v23-phase2-cutover.md")[:1])
    assert first.code == 1
    assert "GATE CLOSED" in first.output


@pytest.mark.slow
def test_the_installation_followed_to_the_letter(world: World) -> None:
    page = RUNBOOKS / "install.md"
    steps = world.follow(commands(page))
    closed = [step for step in steps if step.command == "orgrecon gate"]
    must_end_well([step for step in steps if step not in closed])
    # The first report was the cluster's, which this world has none of: there is no evidence yet.
    assert [step.code for step in closed] == [1]
    assert any(call.startswith("kubectl apply -k") for call in world.calls())
    assert world.environ["REPOSITORY_URL"] in (world.checkout / "deploy/exporter/prometheusrule.yaml").read_text()


@pytest.mark.slow
def test_the_reports_of_the_cluster_come_home(world: World) -> None:
    world.live_week()
    shutil.copytree(world.checkout / REPORTS, world.folder / "cluster")
    for report in (world.checkout / REPORTS).glob("2*.md"):
        report.unlink()
    (world.folder / "cluster/README.md").unlink()
    # Of before the first run in the cluster, whose ledger knows nothing of it: the workflow's baselines.
    first = min((world.folder / "cluster").glob("2*.md")).stem
    before = [str(date.fromisoformat(first) - timedelta(days=back)) for back in (2, 1)]
    must_end_well(world.follow([
        f"ORGRECON_LEDGER_URL=sqlite:///../ci.db orgrecon report --baseline --date {day} --output-dir {REPORTS}"
        for day in before]))
    must_end_well(world.follow([f"git add {REPORTS}", "git commit -q -m baselines", "git push -q origin main"]))
    assert "MISSING" in (world.folder / f"cluster/{first}.md").read_text()
    steps = world.follow(commands(RUNBOOKS / "bring-reports-home.md"))
    must_end_well(steps)
    assert len(list((world.checkout / REPORTS).glob("2*.md"))) == 9
    home = (world.checkout / REPORTS / f"{first}.md").read_text()
    assert all(f"| {day} | PASS | 0 | 0 | 0 | 0 | baseline |" in home for day in before)
    assert not (world.checkout / "from-cluster").exists()
    assert any(call.startswith("gh pr create") for call in world.calls())


@pytest.mark.slow
def test_the_ledger_is_backed_up_restored_and_rebuilt(world: World, new_database: Callable[..., str]) -> None:
    world.live_week()
    every = commands(RUNBOOKS / "ledger-backup.md")
    restore = next(i for i, command in enumerate(every) if command.startswith("pg_restore"))
    rebuild = next(i for i, command in enumerate(every) if i > restore and command.startswith("orgrecon verify"))
    sqlite = [command for command in every[:restore] if "sqlite3" in command]
    must_end_well(world.follow([command for command in every[:restore] if command not in sqlite]))
    world.environ["ORGRECON_LEDGER_URL"] = new_database()
    must_end_well(world.follow(every[restore:rebuild]))
    world.environ["ORGRECON_LEDGER_URL"] = new_database()
    must_end_well(world.follow(every[rebuild:]))
    world.environ.pop("ORGRECON_LEDGER_URL")
    must_end_well(world.follow([f"orgrecon import {REPORTS}", *sqlite]))
    assert (world.checkout / "orgrecon-ledger-copy.db").stat().st_size


@pytest.mark.slow
def test_the_source_moves_and_the_streak_goes_on(world: World, new_database: Callable[..., str]) -> None:
    world.live_week()
    before, *after = commands(RUNBOOKS / "move-the-source.md")
    must_end_well(world.follow([before]))
    name = psycopg.conninfo.conninfo_to_dict(world.source)["dbname"]
    world.environ["DATABASE_URL"] = new_database(name)
    steps = world.follow(after)
    must_end_well([step for step in steps if step.command.startswith("kubectl")])
    steps = [step for step in steps if not step.command.startswith("kubectl")]
    assert ended(steps) == [("orgrecon doctor", steps[0].code), (REPORT, 3), (steps[2].command, 0), (REPORT, 0)]
    assert steps[2].command.startswith("orgrecon accept-source --reason ")
    must_end_well(world.follow(["orgrecon gate --require-live 7"]))


@pytest.mark.slow
def test_the_page_about_drift(world: World) -> None:
    world.live_week()
    with psycopg.connect(world.source, autocommit=True) as connection:
        tenant = _tenant_with_rows(connection)
        connection.execute("DELETE FROM public.org_unit_memberships WHERE tenant_id = %s", [tenant])
    steps = world.follow(commands(RUNBOOKS / "alerts/OrgreconDriftFound.md"))
    assert [step.code for step in steps if step.command.startswith("orgrecon report")] == [1, 1]
    [closed] = [step for step in steps if step.command == "orgrecon gate"]
    assert closed.code == 1
    must_end_well([step for step in steps if step.command.startswith("orgrecon repair-sql")])
    assert (world.checkout / "repair.sql").stat().st_size


@pytest.mark.slow
def test_the_page_about_an_undecided_day(world: World) -> None:
    world.live_week()
    with psycopg.connect(world.source, autocommit=True) as connection:
        tenant = _tenant_with_rows(connection)
        for table in ("org_unit_memberships", "team_members", "org_units", "teams"):
            connection.execute(f"DELETE FROM public.{table} WHERE tenant_id = %s", [tenant])
    steps = world.follow(commands(RUNBOOKS / "alerts/OrgreconInconclusive.md"))
    assert [step.code for step in steps if step.command == REPORT] == [3, 0], "lost, and then acknowledged"
    must_end_well([step for step in steps if step.command.startswith(("orgrecon acknowledge", "kubectl"))])


ALONE = {"org-v23-phase2-cutover.md", "install.md", "bring-reports-home.md", "ledger-backup.md", "move-the-source.md",
         "OrgreconDriftFound.md", "OrgreconInconclusive.md"}


@pytest.mark.slow
def test_every_other_page_followed_to_the_letter_after_a_good_week(world: World) -> None:
    # Most pages end with the same commands: each one is run once, in the order in which they are first named.
    others = [page for page in WITH_COMMANDS if page.name not in ALONE]
    assert len(others) > 8
    world.live_week()
    must_end_well(world.follow(dict.fromkeys(command for page in others for command in commands(page))))
