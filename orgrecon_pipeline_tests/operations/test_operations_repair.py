"""Healing: what the SQL does on a real server, to drift of every kind, beside writers, and what it must not touch."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.config.settings import Settings, read_settings
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.demo.drift import Fault, inject
from orgrecon_pipeline.demo.dual_writer import DualWriter, DualWriterSettings
from orgrecon_pipeline.demo.wheel import binaries
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.evidence import Observation, Verdict
from orgrecon_pipeline.domain.mapping import Entity, Mapping
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.opening import open_ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe import observe
from orgrecon_pipeline.operations.repair import Healing, repair_sql
from orgrecon_pipeline.source.repair_shape import Lookup, Table, Unhealable, shape_of
from orgrecon_pipeline_tests.demo.plain_check import differences

Connect = Callable[[str], psycopg.Connection[Any]]
UNITS, MEMBERSHIPS = "org_units", "org_unit_memberships"
NAMES = ("""o'br\\ien "x" {a,b},NULL""", "$orgrecon$ $$ %s %(x)s {key}", "-- ; DROP TABLE x; /*\nnew line :name")
IMPATIENT = {"scan": {"settle_seconds": 0.0, "rechecks": 1}}


class Patient:
    """One company, one ledger, one observer."""

    def __init__(self, admin: psycopg.Connection[Any], dsn: str, place: Path) -> None:
        self.admin, self.dsn, self.place = admin, dsn, place
        self.mapping_file = place / "orgrecon.yaml"
        self.use(default_mapping())
        self.tenants = list(seed(admin, tenants=12, users_per_tenant=8).tenants)
        self.ledger: Ledger = open_ledger(self.settings.ledger_url)

    def use(self, mapping: Mapping, **entities: dict[str, Any]) -> None:
        """Compare by this mapping, with parts of its targets replaced."""
        value = mapping.model_dump(by_alias=True, mode="json")
        value["scan"] |= IMPATIENT["scan"]
        for name, parts in entities.items():
            for side, changes in parts.items():
                [relation] = value["entities"][name][side]
                relation |= {**changes, "columns": {**relation["columns"], **changes.get("columns", {})}}
        self.mapping = Mapping.model_validate(value)
        self.mapping_file.write_text(self.mapping.model_dump_json(by_alias=True))

    @property
    def settings(self) -> Settings:
        return read_settings({"ORGRECON_LEDGER_URL": f"sqlite:///{self.place / 'ledger.db'}",
                              "ORGRECON_MAPPING": str(self.mapping_file), "DATABASE_URL": self.dsn})

    def observe(self) -> Observation:
        context = Context(self.mapping, self.ledger, self.place / "reports", environ=self.settings.environ)
        return observe(context, Clock().today()).observation

    def healing(self) -> Healing:
        """The repair of an observation that has to be a FAIL."""
        assert self.observe().verdict is Verdict.FAIL
        return repair_sql(self.settings, None)

    def apply(self, sql: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(sql.encode())

    def heal(self) -> None:
        self.apply(self.healing().repair.sql)

    def rows(self, table: str, where: str = "true") -> list[tuple[Any, ...]]:
        """Rows with the transaction that wrote them: another one, and they were touched."""
        return self.admin.execute(
            f"SELECT xmin::text, ctid::text, x.* FROM public.{table} AS x WHERE {where} ORDER BY x::text"
        ).fetchall()

    def everything(self, where: str = "true") -> list[Any]:
        return [self.rows(table, where) for table in ("teams", "team_members", UNITS, MEMBERSHIPS)]


@pytest.fixture
def patient(company_database: str, connect: Connect, tmp_path: Path) -> Patient:
    """Twelve tenants without drift."""
    return Patient(connect(company_database), company_database, tmp_path)


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_alone_is_healed_and_nothing_else_touched(patient: Patient, fault: Fault) -> None:
    drifting = {drift.tenant for drift in inject(patient.admin, fault, count=3)}
    others = f"tenant_id <> ALL ('{{{','.join(drifting)}}}')"
    source, untouched = (patient.rows("teams"), patient.rows("team_members")), patient.everything(others)
    sql = patient.healing().repair.sql
    patient.apply(sql)
    assert differences(patient.dsn) == set()
    assert (patient.rows("teams"), patient.rows("team_members")) == source
    assert patient.everything(others) == untouched
    healed = patient.everything()
    patient.apply(sql)
    assert patient.everything() == healed, "a second time changes nothing"


@contextmanager
def rewriting(dsn: str, tenants: list[str]) -> Iterator[list[int]]:
    """Renames teams and changes roles in both models, in one transaction each, in tenants that drift."""
    stop, done, failed = threading.Event(), [0], []

    def write() -> None:
        rng = random.Random(1)
        with psycopg.connect(dsn, autocommit=True) as connection:
            teams = connection.execute(
                "SELECT tenant_id, id FROM public.teams WHERE tenant_id = ANY (%s)", (tenants,)).fetchall()
            while not stop.is_set():
                (tenant, team), name, role = rng.choice(teams), f"Team {done[0]}", rng.choice(("admin", "member"))
                of_team = {"t": tenant, "u": team, "name": name, "role": role}
                with connection.transaction():
                    for statement in (
                        "UPDATE public.teams SET name = %(name)s WHERE tenant_id = %(t)s AND id = %(u)s",
                        "UPDATE public.org_units SET name = %(name)s WHERE tenant_id = %(t)s AND legacy_id = %(u)s",
                        "UPDATE public.team_members SET role = %(role)s WHERE tenant_id = %(t)s AND team_id = %(u)s",
                        "UPDATE public.org_unit_memberships m SET role = %(role)s FROM public.org_units u "
                        "WHERE u.tenant_id = %(t)s AND u.legacy_id = %(u)s AND m.tenant_id = u.tenant_id "
                        "AND m.org_unit_id = u.id",
                    ):
                        connection.execute(statement, of_team)
                done[0] += 1

    def guarded() -> None:
        try:
            write()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()
    assert failed == []


def test_a_company_in_use_is_healed_of_everything(patient: Patient) -> None:
    tenants = patient.tenants
    sick, adopted, idle = tenants[:7], tenants[7:9], tenants[10:]
    for fault in Fault:
        inject(patient.admin, fault, count=3, tenants=sick)
    asleep = f"tenant_id = ANY ('{{{','.join(idle)}}}')"
    untouched = patient.everything(asleep)
    settings = DualWriterSettings(operations_per_second=None, adopt=tuple(adopted), workers=1)
    with DualWriter(patient.dsn, settings) as writer:
        sql = patient.healing().repair.sql
        before = sum(writer.operations.values())
        with rewriting(patient.dsn, sick) as rewritten:
            while not rewritten[0]:
                pass
            while True:
                try:
                    patient.apply(sql)
                    break
                except psycopg.errors.LockNotAvailable:
                    continue  # it is the repair that gives way
            once = rewritten[0]
            assert patient.observe().verdict is Verdict.PASS
        assert sum(writer.operations.values()) > before
        assert rewritten[0] > once
    assert writer.lost == frozenset()
    assert differences(patient.dsn) == set()
    assert patient.everything(asleep) == untouched
    healed = patient.everything()
    patient.apply(sql)
    assert patient.everything() == healed


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


def test_a_unit_that_was_deleted_by_mistake_comes_back_with_its_id(patient: Patient) -> None:
    [(unit, tenant)] = patient.admin.execute(
        "UPDATE public.org_units SET deleted_at = now(), name = 'stale' WHERE id = (SELECT org_unit_id FROM "
        "public.org_unit_memberships LIMIT 1) RETURNING id, tenant_id").fetchall()
    count = patient.admin.execute("SELECT count(*) FROM public.org_units").fetchone()
    patient.heal()
    assert differences(patient.dsn) == set()
    assert patient.admin.execute(
        "SELECT deleted_at, name <> 'stale' FROM public.org_units WHERE id = %s AND tenant_id = %s", (unit, tenant)
    ).fetchall() == [(None, True)]
    assert patient.admin.execute("SELECT count(*) FROM public.org_units").fetchone() == count


def test_of_two_copies_the_one_that_others_refer_to_stays(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.DUPLICATE_UNIT)
    unit, referred = (drift.tenant, drift.key[0]), \
        "EXISTS (SELECT FROM public.org_unit_memberships m WHERE m.org_unit_id = u.id)"
    # The one that has to stay has a stale name, which is corrected: the copy's being right is no reason to keep it.
    patient.admin.execute(
        f"UPDATE public.org_units u SET name = 'stale' WHERE tenant_id = %s AND legacy_id = %s AND {referred}", unit)
    patient.heal()
    assert differences(patient.dsn) == set()
    assert set(patient.admin.execute(
        f"SELECT deleted_at IS NULL, {referred} FROM public.org_units u WHERE tenant_id = %s AND legacy_id = %s", unit
    )) == {(True, True), (False, False)}


def test_memberships_that_are_double_through_a_double_unit_are_healed(patient: Patient) -> None:
    [drift] = inject(patient.admin, Fault.DUPLICATE_UNIT)
    patient.admin.execute(
        "INSERT INTO public.org_unit_memberships SELECT m.tenant_id, c.id, m.user_id, 'wrong' FROM public.org_units c "
        "JOIN public.org_units u ON u.tenant_id = c.tenant_id AND u.legacy_id = c.legacy_id AND u.id <> c.id "
        "JOIN public.org_unit_memberships m ON m.tenant_id = u.tenant_id AND m.org_unit_id = u.id "
        "WHERE c.tenant_id = %s AND c.legacy_id = %s", (drift.tenant, drift.key[0]))
    assert {d.kind for d in differences(patient.dsn)} == {"duplicate", "mismatched"}
    patient.heal()
    assert differences(patient.dsn) == set()


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


def test_without_a_mark_for_deleted_rows_they_are_deleted_unless_something_refers_to_them(patient: Patient) -> None:
    patient.admin.execute("DELETE FROM public.teams WHERE deleted_at IS NOT NULL")
    patient.admin.execute("DELETE FROM public.org_units WHERE deleted_at IS NOT NULL")
    patient.admin.execute("DELETE FROM public.team_members m WHERE NOT EXISTS (SELECT FROM public.teams t WHERE "
                          "t.tenant_id = m.tenant_id AND t.id = m.team_id)")
    patient.admin.execute("DELETE FROM public.org_unit_memberships m WHERE NOT EXISTS (SELECT FROM public.org_units u "
                          "WHERE u.tenant_id = m.tenant_id AND u.id = m.org_unit_id)")
    patient.use(default_mapping(), org_units={"source": {"where": None}, "target": {"where": None}})
    tenants = patient.tenants
    leaf = "SELECT tenant_id, max(id) FROM public.teams WHERE tenant_id = %s GROUP BY tenant_id"
    [(tenant, gone)], [(other, kept)] = (patient.admin.execute(leaf, (name,)).fetchall() for name in tenants[:2])
    # One unit is gone with its members, the other one has left its members behind.
    patient.admin.execute("DELETE FROM public.team_members WHERE tenant_id = %s AND team_id = %s", (tenant, gone))
    patient.admin.execute("DELETE FROM public.teams WHERE (tenant_id, id) IN ((%s, %s), (%s, %s))",
                          (tenant, gone, other, kept))
    [left] = [d for d in differences(patient.dsn) if d.tenant == other]
    sql = patient.healing().repair.sql
    assert "DELETE FROM public.org_units" in sql
    patient.apply(sql)
    assert differences(patient.dsn) == {left}
    assert patient.admin.execute("SELECT count(*) FROM public.org_units WHERE tenant_id = %s AND legacy_id = %s",
                                 (tenant, gone)).fetchone() == (0,)


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
    assert set(healing.repair.unhealable) == {UNITS}
    assert why in healing.repair.unhealable[UNITS]
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
    monkeypatch.setattr("orgrecon_pipeline.source.repair.BATCH_KEYS", 4)
    tenants = patient.tenants[:6]
    for tenant in tenants:
        inject(patient.admin, Fault.WRONG_ROLE, count=2, tenants=[tenant])
    sql = patient.healing().repair.sql
    assert sql.count("BEGIN ISOLATION LEVEL") == sql.count("COMMIT;") == 3
    assert "-- Batch 3 of 3: 2 tenants." in sql
    patient.apply(sql)
    assert differences(patient.dsn) == set()


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


def test_the_command_line_prints_what_a_client_can_run(patient: Patient) -> None:
    inject(patient.admin, Fault.MISSING_UNIT)
    sql = patient.healing().repair.sql
    before = patient.everything()
    environ = {"PATH": "/usr/bin:/bin", **patient.settings.environ}
    ended = subprocess.run([sys.executable, "-m", "orgrecon_pipeline", "repair-sql"], capture_output=True, text=True,
                           encoding="utf-8", env=environ)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, sql, "")
    assert patient.everything() == before, "it runs nothing"
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
    (f"{JOINED} JOIN s.c c ON c.id = a.b_id", {"v": "b.v", "k": "c.k"}),
])
def test_what_is_not_understood_is_refused_and_never_guessed(target: str, columns: dict[str, str]) -> None:
    with pytest.raises(Unhealable):
        shape_of(entity(target, **columns))
