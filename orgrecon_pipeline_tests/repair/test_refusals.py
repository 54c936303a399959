"""What a repair must not do: overwrite newer rows, follow an emptied source, or touch rows outside the mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.repair import plan_repair
from orgrecon_pipeline.postgres.identity import DatabaseIdentity
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.repair.scenario import MEMBERSHIPS, UNITS, CompanyScenario

Connect = Callable[[str], psycopg.Connection[Any]]


def test_repair_does_not_overwrite_rows_written_since_the_observation(company: CompanyScenario) -> None:
    [drift] = inject(company.admin, Fault.RENAMED_UNIT)
    sql = company.repair_sql()
    for table, key in (("teams", "id"), ("org_units", "legacy_id")):
        company.admin.execute(f"UPDATE public.{table} SET name = 'newer' WHERE tenant_id = %s AND {key} = %s",
                              (drift.tenant, drift.key[0]))
    before = company.all_rows()
    company.apply(sql)
    assert company.all_rows() == before


def test_repair_of_an_emptied_source_is_rolled_back(company: CompanyScenario) -> None:
    inject(company.admin, Fault.REVOKED_MEMBERSHIP)
    sql = company.repair_sql()
    company.admin.execute("TRUNCATE public.teams, public.team_members")
    before = company.all_rows()
    with pytest.raises(psycopg.errors.RaiseException, match="the observation counted only 1"):
        company.apply(sql)
    assert company.all_rows() == before


def test_repair_in_another_database_is_refused(
    company: CompanyScenario, new_database: Callable[..., str], template: str, connect: Connect
) -> None:
    inject(company.admin, Fault.MISSING_UNIT)
    sql = company.repair_sql()
    other = connect(new_database(template))
    query = "SELECT tenant_id, max(id) FROM public.teams GROUP BY tenant_id LIMIT 1"
    [(tenant, team)] = company.admin.execute(query).fetchall()
    other.execute("INSERT INTO public.org_units (tenant_id, legacy_id, kind, name) VALUES (%s, %s, 'team', 'x')",
                  (tenant, team))
    with pytest.raises(psycopg.errors.RaiseException, match="not the observed database: connect to test_"):
        other.execute(sql.encode())
    other.execute("ROLLBACK")
    assert other.execute("SELECT count(*) FROM public.org_units").fetchone() == (1,)


def test_rows_without_a_key_are_left_unchanged(company: CompanyScenario) -> None:
    [drift] = inject(company.admin, Fault.DELETED_UNIT)
    sql = company.repair_sql()
    company.admin.execute("INSERT INTO public.org_units (tenant_id, kind, name) VALUES (%s, 'guild', 'native')",
                          (drift.tenant,))
    before = company.rows(UNITS, "legacy_id IS NULL")
    company.apply(sql)
    assert company.rows(UNITS, "legacy_id IS NULL") == before
    assert {d.key for d in differences(company.dsn)} == {(None,)}


@pytest.mark.parametrize("table", ["teams", "team_members", UNITS, MEMBERSHIPS])
def test_repair_gives_way_to_an_open_transaction(company: CompanyScenario, connect: Connect, table: str) -> None:
    inject(company.admin, Fault.WRONG_ROLE)
    inject(company.admin, Fault.RENAMED_UNIT)
    sql = company.repair_sql()
    before = company.all_rows()
    writer = connect(company.dsn)
    with writer.transaction():
        writer.execute(f"UPDATE public.{table} SET tenant_id = tenant_id WHERE false")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            company.apply(sql)
    assert company.all_rows() == before
    company.apply(sql)
    assert differences(company.dsn) == set()


def test_active_row_level_security_aborts_the_repair(company: CompanyScenario) -> None:
    inject(company.admin, Fault.WRONG_ROLE)
    sql = company.repair_sql()
    company.admin.execute("ALTER TABLE public.team_members ENABLE ROW LEVEL SECURITY")
    company.admin.execute("DO $$ BEGIN CREATE ROLE repairer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    company.admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO repairer")
    before = company.all_rows()
    with (psycopg.connect(company.dsn.replace("//postgres@", "//repairer@"), autocommit=True) as repairer,
          pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security")):
        repairer.execute(sql.encode())
    assert company.all_rows() == before
    company.admin.execute("DROP OWNED BY repairer")


def test_plan_without_a_usable_observation_is_refused(company: CompanyScenario) -> None:
    settings = company.settings
    with pytest.raises(UsageError, match="run orgrecon report first"):
        plan_repair(settings, None)
    assert company.observe().verdict is Verdict.PASS
    healthy = plan_repair(settings, None).script.sql
    assert all(line.startswith("--") for line in healthy.splitlines())
    inject(company.admin, Fault.WRONG_ROLE)
    company.observe()
    with pytest.raises(ConfigurationError, match="one database"):
        plan_repair(read_settings({**settings.environ, "ORGRECON_TARGET_DATABASE_URL": "postgresql:///x"}), None)
    company.use_mapping(default_mapping(), org_units={"target": {"columns": {"name": "upper(u.name)"}}})
    with pytest.raises(UsageError, match="another mapping"):
        plan_repair(company.settings, None)


def test_plan_for_a_database_with_citus_is_refused(company: CompanyScenario, monkeypatch: pytest.MonkeyPatch) -> None:
    described = DatabaseIdentity.as_json_value
    monkeypatch.setattr(DatabaseIdentity, "as_json_value", lambda self: {**described(self), "citus": "13.2-1"})
    inject(company.admin, Fault.WRONG_ROLE)
    assert company.observe().verdict is Verdict.FAIL
    with pytest.raises(ConfigurationError, match="repair-sql cannot change tables that Citus distributes"):
        plan_repair(company.settings, None)


def test_plan_of_an_inconclusive_day_is_refused(company: CompanyScenario) -> None:
    company.admin.execute("ALTER TABLE public.teams RENAME TO elsewhere")
    assert company.observe().verdict is Verdict.INCONCLUSIVE
    with pytest.raises(UsageError, match="cannot be repaired"):
        plan_repair(company.settings, None)
