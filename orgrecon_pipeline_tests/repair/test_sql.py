"""What a repair is made of: names as data, batches, what cannot be derived, and how it is printed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.faults import Fault, inject
from orgrecon_pipeline.demo.postgres_wheel import binaries
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.mapping import Entity
from orgrecon_pipeline.repair.target_shape import Lookup, Table, UnsupportedMapping, shape_of
from orgrecon_pipeline_tests.support.demo.plain_check import differences
from orgrecon_pipeline_tests.support.operations.repair_pair import UNITS, Patient

NAMES = ("""o'br\\ien "x" {a,b},NULL""", "$orgrecon$ $$ %s %(x)s {key}", "-- ; DROP TABLE x; /*\nnew line :name")


@pytest.mark.parametrize("tenant", NAMES)
def test_names_are_data(patient: Patient, tenant: str) -> None:
    patient.admin.execute("INSERT INTO public.tenants VALUES (%s)", (tenant,))
    for team, parent in ((1, None), (2, 1), (3, 2), (4, 3)):
        patient.admin.execute("INSERT INTO public.teams VALUES (%s, %s, %s, %s)",
                              (tenant, team, f"{tenant} {team}", parent))
        patient.admin.execute("INSERT INTO public.team_members VALUES (%s, %s, gen_random_uuid(), %s)",
                              (tenant, team, tenant))
    before = patient.rows("teams")
    script = patient.place / "repair.sql"
    script.write_text(patient.healing().repair.sql, encoding="utf-8")
    psql = [str(binaries() / "psql"), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--set", "name=replaced"]
    subprocess.run([*psql, "--file", script, patient.dsn], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "PGCLIENTENCODING": "UTF8"})
    assert patient.observe().verdict is Verdict.PASS
    assert patient.rows("teams") == before
    assert patient.admin.execute(
        "SELECT u.name, p.name FROM public.org_units u LEFT JOIN public.org_units p ON p.id = u.parent_id "
        "WHERE u.tenant_id = %s ORDER BY u.legacy_id", (tenant,)
    ).fetchall() == [(f"{tenant} {n}", f"{tenant} {n - 1}" if n > 1 else None) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(("target", "why"), [
    ({"columns": {"name": "upper(u.name)"}}, "name is an expression"),
    ({"where": "u.deleted_at IS NULL AND u.kind <> 'x'"}, "where is something other"),
    ({"from": "public.org_units u LEFT JOIN public.org_units p "
              "ON p.id = u.parent_id AND p.tenant_id = u.tenant_id AND true"}, "plain equalities"),
])
def test_what_cannot_be_derived_is_said_and_listed(patient: Patient, target: dict[str, Any], why: str) -> None:
    patient.use(default_mapping(), org_units={"target": target})
    patient.admin.execute("UPDATE public.teams SET name = upper(name)")
    patient.admin.execute("UPDATE public.org_units SET name = upper(name)")
    unit, [member] = inject(patient.admin, Fault.RENAMED_UNIT), inject(patient.admin, Fault.WRONG_ROLE)
    healing = patient.healing()
    assert set(healing.repair.unsupported) == {UNITS}
    assert why in healing.repair.unsupported[UNITS]
    head, select = healing.repair.sql.split(f"-- {UNITS}: no repair can be derived from the mapping, because ")
    assert why in select
    patient.apply(head)
    left = differences(patient.dsn)
    assert left == {d for d in unit if d.entity == UNITS}, "the other entity is healed"
    assert member not in left
    with psycopg.connect(patient.dsn) as connection:
        rows = connection.execute(select.partition("\n")[2].encode()).fetchall()
    [drift] = left
    assert [row[:3] for row in rows] == [(side, drift.tenant, int(drift.key[0])) for side in ("source", "target")]


def test_batches_are_bounded_and_each_a_transaction(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orgrecon_pipeline.repair.script.BATCH_KEYS", 4)
    tenants = patient.tenants[:6]
    for tenant in tenants:
        inject(patient.admin, Fault.WRONG_ROLE, count=2, tenants=[tenant])
    sql = patient.healing().repair.sql
    assert sql.count("BEGIN ISOLATION LEVEL") == sql.count("COMMIT;") == 3
    assert "-- Batch 3 of 3: 2 tenants." in sql
    patient.apply(sql)
    assert differences(patient.dsn) == set()


def test_the_command_line_prints_what_a_client_can_run(patient: Patient) -> None:
    inject(patient.admin, Fault.MISSING_UNIT)
    sql = patient.healing().repair.sql
    before = patient.everything()
    environ = {"PATH": "/usr/bin:/bin", **patient.settings.environ}
    ended = subprocess.run([sys.executable, "-m", "orgrecon_pipeline", "repair-sql"], capture_output=True, text=True,
                           encoding="utf-8", env=environ)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, sql, "")
    assert patient.everything() == before, "it runs nothing"
    ended = subprocess.run([sys.executable, "-m", "orgrecon_pipeline", "repair-sql", "--format", "json"],
                           capture_output=True, text=True, encoding="utf-8", env=environ)
    document = json.loads(ended.stdout)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (document["sql"], document["verdict"], document["unsupported"], document["notes"]) == (sql, "FAIL", {}, [])
    assert document["observation"] in sql
    refused = subprocess.run([sys.executable, "-m", "orgrecon_pipeline", "repair-sql", "--date", "2026-01-01"],
                             capture_output=True, text=True, env=environ)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)


def entity(target: str, **columns: str) -> Entity:
    """One with the key ``k`` and the compared column ``v``."""
    side = {"from": target, "columns": {"tenant_id": "a.tenant", "k": "a.k", "v": "a.v", **columns}}
    return Entity.model_validate({"key": ["k"], "compare": ["v"], "source": side, "target": side})


JOINED = "s.a AS a LEFT OUTER JOIN s.b b ON b.id = a.b_id AND a.tenant = b.tenant"


def test_a_target_is_turned_round() -> None:
    shape = shape_of(entity(JOINED, v='B."Label"'))
    assert (shape.base, shape.own) == (Table("s.a", "a"), {"tenant_id": "tenant", "k": "k"})
    pairs = (("id", "b_id"), ("tenant", "tenant"))
    assert shape.lookups == (Lookup(Table("s.b", "b"), True, pairs, (("v", '"Label"'),)),)
    assert shape_of(entity('"S"."A" a')).base == Table('"S"."A"', "a")


@pytest.mark.parametrize(("target", "columns"), [
    ("(SELECT 1) a", {}), ("s.a a, s.b b", {}), ("s.a a CROSS JOIN s.b", {}),
    ("s.a a FULL JOIN s.b b ON b.id = a.b_id", {}),
    ("s.a a JOIN s.b b USING (id)", {}), ("s.a a JOIN s.b b ON b.id = a.b_id OR true", {}), ("s.a a -- comment", {}),
    ("s.a a JOIN s.b b ON b.id > a.b_id", {}), ("f(1) a", {}), ("s.a a JOIN s.b b ON b.id = a.b_id", {}),
    ("s.a a JOIN s.a a ON a.id = a.b_id", {}), (JOINED, {"v": "v"}), (JOINED, {"v": "c.v"}),
    (JOINED, {"v": "b.v::text"}),
    (JOINED, {"tenant_id": "b.tenant"}), ("s.a a", {"v": "'constant'"}), (JOINED.replace("b_id", "k"), {"v": "b.v"}),
    (f"{JOINED} JOIN s.c c ON c.id = b.c_id", {"v": "c.v"}),
    ("s.a a JOIN s.b b ON b.id = a.b_id", {"v": "b.v"}),
    (f"{JOINED} JOIN s.c c ON c.id = a.b_id", {"v": "b.v", "k": "c.k"}),
])
def test_what_is_not_understood_is_refused_and_never_guessed(target: str, columns: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMapping):
        shape_of(entity(target, **columns))
