"""The repair script as text: names as data, batches, unsupported entities, and the command that prints it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.repair import plan_repair
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.operations.postgres_server import find_program
from orgrecon_pipeline_tests.support.repair.scenario import UNITS, CompanyScenario

NAMES = ("""o'br\\ien "x" {a,b},NULL""", "$orgrecon$ $$ %s %(x)s {key}", "-- ; DROP TABLE x; /*\nnew line :name")


@pytest.mark.parametrize("tenant", NAMES)
def test_tenant_names_are_data_not_sql(company: CompanyScenario, tenant: str) -> None:
    company.admin.execute("INSERT INTO public.tenants VALUES (%s)", (tenant,))
    for team, parent in ((1, None), (2, 1), (3, 2), (4, 3)):
        company.admin.execute("INSERT INTO public.teams VALUES (%s, %s, %s, %s)",
                              (tenant, team, f"{tenant} {team}", parent))
        company.admin.execute("INSERT INTO public.team_members VALUES (%s, %s, gen_random_uuid(), %s)",
                              (tenant, team, tenant))
    before = company.rows("teams")
    script = company.directory / "repair.sql"
    script.write_text(company.repair_sql(), encoding="utf-8")
    psql = [str(find_program("psql")), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1",
            "--set", "name=replaced"]
    subprocess.run([*psql, "--file", script, company.dsn], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "PGCLIENTENCODING": "UTF8"})
    assert company.observe().verdict is Verdict.PASS
    assert company.rows("teams") == before
    assert company.admin.execute(
        "SELECT u.name, p.name FROM public.org_units u LEFT JOIN public.org_units p ON p.id = u.parent_id "
        "WHERE u.tenant_id = %s ORDER BY u.legacy_id", (tenant,)
    ).fetchall() == [(f"{tenant} {n}", f"{tenant} {n - 1}" if n > 1 else None) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(("target", "reason"), [
    ({"columns": {"name": "upper(u.name)"}}, "name is an expression"),
    ({"where": "u.deleted_at IS NULL AND u.kind <> 'x'"}, "where is something other"),
    ({"from": "public.org_units u LEFT JOIN public.org_units p "
              "ON p.id = u.parent_id AND p.tenant_id = u.tenant_id AND true"}, "plain equalities"),
])
def test_unsupported_entity_is_listed_and_the_other_one_repaired(
    company: CompanyScenario, target: dict[str, Any], reason: str
) -> None:
    company.use_mapping(default_mapping(), org_units={"target": target})
    company.admin.execute("UPDATE public.teams SET name = upper(name)")
    company.admin.execute("UPDATE public.org_units SET name = upper(name)")
    unit, [member] = inject(company.admin, Fault.RENAMED_UNIT), inject(company.admin, Fault.WRONG_ROLE)
    script = company.plan().script
    assert set(script.unsupported) == {UNITS}
    assert reason in script.unsupported[UNITS]
    repair, select = script.sql.split(f"-- {UNITS}: no repair can be derived from the mapping because ")
    assert reason in select
    company.apply(repair)
    remaining = differences(company.dsn)
    assert remaining == {d for d in unit if d.entity == UNITS}, "the other entity was not repaired"
    assert member not in remaining
    with psycopg.connect(company.dsn) as connection:
        rows = connection.execute(select.partition("\n")[2].encode()).fetchall()
    [drift] = remaining
    assert [row[:3] for row in rows] == [(side, drift.tenant, int(drift.key[0])) for side in ("source", "target")]


def test_batches_are_bounded_and_run_in_one_transaction_each(
    company: CompanyScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgrecon_pipeline.repair.script.BATCH_KEYS", 4)
    tenants = company.tenants[:6]
    for tenant in tenants:
        inject(company.admin, Fault.WRONG_ROLE, count=2, tenants=[tenant])
    sql = company.repair_sql()
    assert sql.count("BEGIN ISOLATION LEVEL") == sql.count("COMMIT;") == 3
    assert "-- Batch 3 of 3: 2 tenants." in sql
    company.apply(sql)
    assert differences(company.dsn) == set()


def test_keys_in_flux_raise_the_number_of_keys_that_may_change(company: CompanyScenario) -> None:
    inject(company.admin, Fault.WRONG_ROLE)
    sql = company.repair_sql()
    assert "-- Batch 1 of 1: 1 tenant.\n" in sql
    assert "the observation counted only 1'" in sql
    observation = company.ledger.deciding(Clock().today(), "latest")
    assert observation is not None
    rows = company.ledger.breakdown(observation.id, limit=1)
    update = {"id": "in-flux", "compared": {**observation.compared, "keys_in_flux": 2}}
    assert observation.compared["keys_in_flux"] == 0
    company.ledger.append(observation.model_copy(update=update), rows, (), ())
    sql = plan_repair(company.settings, None).script.sql
    assert "the observation counted only 3'" in sql


def test_repair_sql_command_prints_the_script_and_runs_nothing(
    company: CompanyScenario, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inject(company.admin, Fault.MISSING_UNIT)
    sql = company.repair_sql()
    before = company.all_rows()
    for name, value in company.settings.environ.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main(["repair-sql", *arguments])
        return (exit_.value.code, *capsys.readouterr())

    assert run() == (0, sql, "")
    assert company.all_rows() == before, "the command changed rows"
    code, out, err = run("--format", "json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert (document["sql"], document["verdict"], document["unsupported"], document["notes"]) == (sql, "FAIL", {}, [])
    assert document["observation"] in sql
    code, out, err = run("--date", "2026-01-01")
    assert (code, out, err.count("\n")) == (2, "", 1)
