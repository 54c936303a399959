"""Actions of ordinary or hurried people on live evidence over many days: none of them may open the gate.

Every test starts from seven clean live days that end yesterday, made by the command line on a real server under a
shifted clock. Nothing is forged.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import psycopg
import pytest

from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline_tests.support.operations.shifted_clock import Company, shifted_server

pytestmark = pytest.mark.slow

TODAY = datetime.now(timezone.utc).date()
NARROWER = ("compare: [name, kind, parent_id]", "compare: [name]")


def ledger_of(company: Company) -> dict[str, str]:
    """Return the environment that names the company's ledger, for commands in another directory."""
    return {"ORGRECON_LEDGER_URL": f"sqlite:///{company.directory / '.orgrecon/ledger.db'}"}


@pytest.fixture(scope="module")
def clean_week(template_sql: str) -> Iterator[Company]:
    with tempfile.TemporaryDirectory() as name, shifted_server(Path(name)) as (server, clock):
        server.create_database("app")
        company = Company(Path(name) / "prod", server, clock, "app", TODAY)
        with psycopg.connect(server.dsn("app"), autocommit=True) as connection:
            connection.execute(template_sql)
            seed(connection, tenants=5, users_per_tenant=6)
        company.write_mapping()
        for back in range(7, 0, -1):
            company.at(back)
            assert company.report() == 0
        yield company


@pytest.fixture
def company(clean_week: Company, tmp_path: Path) -> Iterator[Company]:
    """A copy of the company with its clean week; the database keeps its name, as pins need it."""
    backup, name = "app_before", clean_week.database
    clean_week.server.create_database(backup, name)
    shutil.copytree(clean_week.directory, tmp_path / "prod")
    copied = Company(tmp_path / "prod", clean_week.server, clean_week.clock, name, TODAY)
    copied.at(0)
    assert copied.gate() == ("OPEN", "window_clean")
    try:
        yield copied
    finally:
        clean_week.server.drop_database(name)
        clean_week.server.create_database(name, backup)
        clean_week.server.drop_database(backup)


def test_asking_for_yesterday_after_a_fail_of_today_is_closed(company: Company) -> None:
    company.lose_memberships()
    assert company.report() == 1
    yesterday = company.day(1).isoformat()
    assert company.gate("--date", yesterday) == ("CLOSED", "closed_now")
    assert company.gate("--date", yesterday, "--output-dir", "reports", "--require-live", "7")[0] == "CLOSED"


@pytest.mark.parametrize(("setting", "strict"), [
    ("window_days: 7", "window_days: 14"), ("same_day: latest", "same_day: worst"),
])
def test_asking_from_a_directory_with_looser_rules_is_closed(
    company: Company, setting: str, strict: str, tmp_path: Path
) -> None:
    company.write_mapping((setting, strict))
    company.lose_memberships()
    assert company.report() == 1
    restore_memberships(company)
    company.report()
    elsewhere = company.write_mapping(directory=tmp_path / "elsewhere").parent
    assert company.gate()[0] == "CLOSED"
    assert company.gate(directory=elsewhere, environ=ledger_of(company))[0] == "CLOSED"
    trail = str(company.directory / "reports")
    assert company.gate("--output-dir", trail, directory=elsewhere)[0] == "CLOSED"


def restore_memberships(company: Company) -> None:
    """Copy the memberships of the backup database back."""
    with (
        psycopg.connect(company.server.dsn("app_before")) as before,
        psycopg.connect(company.server.dsn(company.database)) as now,
        before.cursor().copy("COPY public.org_unit_memberships TO STDOUT") as rows,
    ):
        now.execute("DELETE FROM public.org_unit_memberships")
        with now.cursor().copy("COPY public.org_unit_memberships FROM STDIN") as target:
            for row in rows:
                target.write(row)


def test_mapping_that_was_never_compared_is_closed(company: Company, tmp_path: Path) -> None:
    other = str(company.write_mapping(NARROWER, directory=tmp_path / "other"))
    for arguments in ((), ("--output-dir", "reports")):
        assert company.gate("--mapping", other, *arguments) == ("CLOSED", "mapping_not_compared")


def test_narrower_mapping_does_not_improve_a_day_that_failed(company: Company, tmp_path: Path) -> None:
    company.execute("UPDATE public.org_units SET kind = 'squad' WHERE ctid IN "
                    "(SELECT ctid FROM public.org_units LIMIT 1)")
    assert company.report() == 1
    narrower = str(company.write_mapping(NARROWER, directory=tmp_path / "other"))
    assert company.report("--mapping", narrower) == 1
    assert company.gate() == ("CLOSED", "streak_too_short")
    assert company.gate("--mapping", narrower)[0] == "CLOSED"


def test_report_of_staging_does_not_fill_a_missing_day(company: Company, tmp_path: Path) -> None:
    staging = company.write_mapping(directory=tmp_path / "staging").parent
    company.server.create_database("staging", company.database)
    try:
        assert company.report(directory=staging, database="staging") == 0
        shutil.copy(staging / f"reports/{company.today}.md", company.directory / "reports")
        company.at(-1)
        assert company.report() == 0
        assert company.gate("--output-dir", "reports")[0] == "CLOSED"
        refused = company.run("import", "reports")
        assert refused.returncode == 1
        assert f"{company.today}.md is of another database than this ledger" in refused.stderr
        assert company.gate()[0] == "CLOSED"
    finally:
        company.server.drop_database("staging")


def test_entity_that_is_empty_from_the_first_day_is_inconclusive_until_acknowledged(
    company: Company, tmp_path: Path
) -> None:
    typo = company.write_mapping(
        ("user_id: user_id, role: role}", "user_id: user_id, role: role}\n      where: role = 'ownr'"),
        ("user_id: m.user_id, role: m.role}", "user_id: m.user_id, role: m.role}\n      where: m.role = 'ownr'"),
        directory=tmp_path / "new").parent
    assert company.report(directory=typo) == 3
    assert company.run("acknowledge", "--reason", "no owner is mapped yet", directory=typo).returncode == 0
    assert company.report(directory=typo) == 0
    company.at(-1)
    assert company.report(directory=typo) == 0


def test_shard_that_is_an_empty_copy_is_inconclusive(company: Company, template_sql: str, tmp_path: Path) -> None:
    company.server.create_database("eu2")
    try:
        company.execute(template_sql, database="eu2")
        shards = ("shards:   []", "shards:   [{name: eu1, source_env: EU1, target_env: EU1}, "
                                  "{name: eu2, source_env: EU2, target_env: EU2}]")
        directory = company.write_mapping(shards, directory=tmp_path / "sharded").parent
        environ = {"EU1": company.server.dsn(company.database), "EU2": company.server.dsn("eu2")}
        assert company.report(directory=directory, environ=environ) == 3
    finally:
        company.server.drop_database("eu2")


def test_stale_ledger_does_not_override_the_reports_beside_it(company: Company, tmp_path: Path) -> None:
    laptop = company.write_mapping(directory=tmp_path / "laptop").parent
    for back in range(7, 0, -1):
        company.at(back)
        assert company.report("--baseline", directory=laptop) == 0
    company.at(0)
    company.lose_memberships()
    assert company.report() == 1
    company.run("sync", str(company.directory / "reports"), str(laptop / "reports"))
    assert company.gate(directory=laptop) == ("CLOSED", "ledger_lacks_reports")


def test_accepting_a_copy_does_not_improve_a_day_that_failed(company: Company) -> None:
    company.server.create_database("copy", company.database)
    try:
        company.lose_memberships()
        assert company.report() == 1
        assert company.report(database="copy") == 3
        accepted = company.run("accept-source", "--reason", "moved to the copy", database="copy")
        assert accepted.returncode == 0
        assert company.report(database="copy") == 1
        assert company.gate() == ("CLOSED", "streak_too_short")
    finally:
        company.server.drop_database("copy")


def remove_tenant(company: Company) -> None:
    """Delete all rows of a tenant on both sides, but not its row in the declared universe."""
    company.execute(*(f"DELETE FROM public.{table} WHERE tenant_id = (SELECT min(id) FROM public.tenants)"
                      for table in ("org_unit_memberships", "team_members", "org_units", "teams")))


def test_loss_of_coverage_after_a_pass_closes_the_gate_until_it_is_acknowledged(company: Company) -> None:
    assert company.report() == 0
    remove_tenant(company)
    assert company.report() == 3
    assert company.gate() == ("CLOSED", "streak_too_short")
    assert company.run("acknowledge", "--reason", "this tenant was closed today").returncode == 0
    assert company.report() == 0
    assert company.gate() == ("OPEN", "window_clean")


def test_acknowledgement_does_not_improve_a_day_that_failed(company: Company) -> None:
    """Removing the drifting tenant on both sides makes the drift go away, and the evidence of it too."""
    company.execute("DELETE FROM public.org_unit_memberships WHERE tenant_id = (SELECT min(id) FROM public.tenants)")
    assert company.report() == 1
    remove_tenant(company)
    assert company.report() == 3
    assert company.run("acknowledge", "--reason", "this tenant was closed today").returncode == 0
    for _ in range(2):
        assert company.report() == 1
        assert company.gate() == ("CLOSED", "streak_too_short")


def test_clock_that_is_set_back_does_not_hide_a_fail(company: Company) -> None:
    company.at(0, hour=12)
    assert company.report() == 0
    company.at(0, hour=8)
    company.lose_memberships()
    assert company.report() == 1
    assert company.gate() == ("CLOSED", "streak_too_short")


def test_removing_the_report_of_today_is_visible(company: Company) -> None:
    company.lose_memberships()
    assert company.report() == 1
    (company.directory / f"reports/{company.today}.md").unlink()
    text = company.run("gate", "--output-dir", "reports").stdout
    assert f"{company.today} is not in this answer" in text
    assert company.gate("--output-dir", "reports", "--require-today") == ("CLOSED", "no_report_today")


@pytest.mark.parametrize("statements", [
    pytest.param([f"DELETE FROM public.{table} WHERE tenant_id <> (SELECT min(id) FROM public.tenants)"
                  for table in ("org_unit_memberships", "team_members", "org_units", "teams")]
                 + ["DELETE FROM public.tenants WHERE id <> (SELECT min(id) FROM public.tenants)"],
                 id="most tenants leave with their universe rows"),
])
def test_change_that_needs_an_acknowledgement_is_inconclusive(company: Company, statements: list[str]) -> None:
    company.execute(*statements)
    assert company.report() == 3
    assert company.gate()[0] == "CLOSED"


def test_restored_ledger_of_yesterday_does_not_hide_the_fail_of_today(company: Company, tmp_path: Path) -> None:
    shutil.copy(company.directory / ".orgrecon/ledger.db", tmp_path / "backup.db")
    company.lose_memberships()
    assert company.report() == 1
    shutil.copy(tmp_path / "backup.db", company.directory / ".orgrecon/ledger.db")
    assert company.gate() == ("CLOSED", "ledger_lacks_reports")
    assert company.run("import", "reports").returncode == 0
    assert company.gate() == ("CLOSED", "streak_too_short")


def test_days_without_any_action_keep_the_gate_open(company: Company) -> None:
    """The rules above must not close the gate of a company that only goes on."""
    assert company.report() == 0
    assert company.report() == 0
    assert company.gate() == ("OPEN", "window_clean")
    assert company.gate("--date", company.day(1).isoformat()) == ("OPEN", "window_clean")
    assert company.gate("--output-dir", "reports", "--require-live", "7", "--require-today") == ("OPEN", "window_clean")


def test_accepted_move_keeps_the_streak(company: Company) -> None:
    company.server.create_database("moved", company.database)
    try:
        assert company.report(database="moved") == 3
        assert company.run("accept-source", "--reason", "moved to a larger server", database="moved").returncode == 0
        assert company.report(database="moved") == 0
        assert company.gate(database="moved") == ("OPEN", "window_clean")
        assert company.gate("--output-dir", "reports", database="moved") == ("OPEN", "window_clean")
    finally:
        company.server.drop_database("moved")
