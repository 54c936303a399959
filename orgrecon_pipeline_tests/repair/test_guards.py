"""What a repair must not do: overtake a writer, follow a source that is gone, guess, or touch what is nobody's."""

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
from orgrecon_pipeline.operations.repair import repair_sql
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.operations.repair_pair import MEMBERSHIPS, UNITS, Patient

Connect = Callable[[str], psycopg.Connection[Any]]


def test_what_was_written_since_is_not_overwritten(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.RENAMED_UNIT)
    sql = patient.healing().repair.sql
    for table, key in (("teams", "id"), ("org_units", "legacy_id")):
        patient.admin.execute(f"UPDATE public.{table} SET name = 'newer' WHERE tenant_id = %s AND {key} = %s",
                              (drift.tenant, drift.key[0]))
    before = patient.everything()
    patient.apply(sql)
    assert patient.everything() == before


def test_a_source_that_is_gone_since_takes_nothing_with_it(patient: Patient) -> None:
    inject(patient.admin, Fault.REVOKED_MEMBERSHIP)
    sql = patient.healing().repair.sql
    patient.admin.execute("TRUNCATE public.teams, public.team_members")
    before = patient.everything()
    with pytest.raises(psycopg.errors.RaiseException, match="the observation counted 1"):
        patient.apply(sql)
    assert patient.everything() == before


def test_another_database_than_was_observed_is_left_alone(
    patient: Patient, new_database: Callable[..., str], template: str, connect: Connect
) -> None:
    inject(patient.admin, Fault.MISSING_UNIT)
    sql = patient.healing().repair.sql
    other = connect(new_database(template))
    of_one = "SELECT tenant_id, max(id) FROM public.teams GROUP BY tenant_id LIMIT 1"
    [(tenant, team)] = patient.admin.execute(of_one).fetchall()
    other.execute("INSERT INTO public.org_units (tenant_id, legacy_id, kind, name) VALUES (%s, %s, 'team', 'x')",
                  (tenant, team))
    with pytest.raises(psycopg.errors.RaiseException, match="not the database that was observed: test_"):
        other.execute(sql.encode())
    other.execute("ROLLBACK")
    assert other.execute("SELECT count(*) FROM public.org_units").fetchone() == (1,)


def test_rows_that_are_no_legacy_units_are_never_touched(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.DELETED_UNIT)
    sql = patient.healing().repair.sql
    patient.admin.execute("INSERT INTO public.org_units (tenant_id, kind, name) VALUES (%s, 'guild', 'native')",
                          (drift.tenant,))
    before = patient.rows(UNITS, "legacy_id IS NULL")
    patient.apply(sql)
    assert patient.rows(UNITS, "legacy_id IS NULL") == before
    assert {d.key for d in differences(patient.dsn)} == {(None,)}


@pytest.mark.parametrize("table", ["teams", "team_members", UNITS, MEMBERSHIPS])
def test_a_writer_of_either_side_that_is_not_done_wins(patient: Patient, connect: Connect, table: str) -> None:
    inject(patient.admin, Fault.WRONG_ROLE)
    inject(patient.admin, Fault.RENAMED_UNIT)
    sql = patient.healing().repair.sql
    before = patient.everything()
    writer = connect(patient.dsn)
    with writer.transaction():
        writer.execute(f"UPDATE public.{table} SET tenant_id = tenant_id WHERE false")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            patient.apply(sql)
    assert patient.everything() == before
    patient.apply(sql)
    assert differences(patient.dsn) == set()


def test_rows_that_are_hidden_from_the_role_are_an_error(patient: Patient) -> None:
    inject(patient.admin, Fault.WRONG_ROLE)
    sql = patient.healing().repair.sql
    patient.admin.execute("ALTER TABLE public.team_members ENABLE ROW LEVEL SECURITY")
    patient.admin.execute("DO $$ BEGIN CREATE ROLE healer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    patient.admin.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO healer")
    before = patient.everything()
    with (psycopg.connect(patient.dsn.replace("//postgres@", "//healer@"), autocommit=True) as healer,
          pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security")):
        healer.execute(sql.encode())
    assert patient.everything() == before
    patient.admin.execute("DROP OWNED BY healer")


def test_what_cannot_be_healed_from_is_refused(patient: Patient) -> None:
    settings = patient.settings
    with pytest.raises(UsageError, match="run orgrecon report first"):
        repair_sql(settings, None)
    assert patient.observe().verdict is Verdict.PASS
    healthy = repair_sql(settings, None).repair.sql
    assert all(line.startswith("--") for line in healthy.splitlines())
    inject(patient.admin, Fault.WRONG_ROLE)
    patient.observe()
    with pytest.raises(ConfigurationError, match="one database"):
        repair_sql(read_settings({**settings.environ, "ORGRECON_TARGET_DATABASE_URL": "postgresql:///x"}), None)
    patient.use(default_mapping(), org_units={"target": {"columns": {"name": "upper(u.name)"}}})
    with pytest.raises(UsageError, match="another mapping"):
        repair_sql(settings, None)


def test_an_observation_that_was_not_decided_heals_nothing(patient: Patient) -> None:
    patient.admin.execute("ALTER TABLE public.teams RENAME TO elsewhere")
    assert patient.observe().verdict is Verdict.INCONCLUSIVE
    with pytest.raises(UsageError, match="cannot be healed"):
        repair_sql(patient.settings, None)
