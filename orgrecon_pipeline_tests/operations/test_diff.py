"""Ad-hoc comparison of one tenant: the figures of the full comparison, its guards, and only the rows of the tenant."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.config.settings import read_settings
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import ConfigurationError, UsageError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.diff import Diff, DiffRequest, DiffResult, diff
from orgrecon_pipeline_tests.support.compare import endpoints
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

COLUMNS = {"tenant_id": "t", "k": "k", "v": "v"}
KINDS = [kind.value for kind in DriftKind]


def things(source: str = "public.old", target: str = "public.new", **entity: Any) -> dict[str, Any]:
    """Return an entity over two tables."""
    return {"key": ["k"], "compare": ["v"], "source": {"from": source, "columns": dict(COLUMNS)},
            "target": {"from": target, "columns": dict(COLUMNS)}, **entity}


@dataclass
class Bench:
    """Tables ``old`` and ``new`` in one database or in two, and a mapping of them."""

    dsns: tuple[str, str]
    admins: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    directory: Path
    mapping: dict[str, Any] = field(default_factory=lambda: {
        "version": 1, "scan": {"settle_seconds": 0, "rechecks": 1, "lock_timeout_seconds": 0.3},
        "entities": {"things": things()}})

    def create(self, tenant: str = "text", key: str = "bigint", rows: tuple[tuple[Any, ...], ...] = ()) -> None:
        """Create both tables with the same rows."""
        for side, name in enumerate(("old", "new")):
            self.run(side, f"CREATE TABLE public.{name} (t {tenant}, k {key}, v text)")
            for row in rows:
                self.run(side, f"INSERT INTO public.{name} VALUES (%s, %s, %s)", row)

    def run(self, side: int, statement: str, parameters: tuple[Any, ...] | None = None) -> None:
        self.admins[side].execute(statement, parameters)  # type: ignore[arg-type]

    def both(self, statement: str) -> None:
        for admin in dict.fromkeys(self.admins):
            admin.execute(statement)  # type: ignore[arg-type]

    def diff(self, tenant: str, progress: Any = lambda line: None, **request: Any) -> Diff:
        path = self.directory / "orgrecon.yaml"
        path.write_text(json.dumps(self.mapping), "utf-8")
        environ = {"DATABASE_URL": self.dsns[0], "ORGRECON_TARGET_DATABASE_URL": self.dsns[1]}
        if "shards" in self.mapping:
            environ = {"A": self.dsns[0], "B": self.dsns[1]}
        return diff(read_settings(environ, mapping_file=str(path)), DiffRequest(tenant, **request), progress)

    def counts(self, tenant: str, **request: Any) -> dict[str, int]:
        """Return the drift of a tenant that has only one entity, by kind."""
        result = self.diff(tenant, **request)
        assert result.comparison, result.reason
        [totals] = result.comparison.totals.values()
        return {kind: count for kind, count in totals.counts.items() if count}


@pytest.fixture(params=["one", "two"])
def bench(request: pytest.FixtureRequest, new_database: Callable[..., str], connect: Any, tmp_path: Path) -> Bench:
    if request.param == "one":
        return together(new_database, connect, tmp_path)
    source, target = new_database(), new_database()
    return Bench((source, target), (connect(source), connect(target)), tmp_path)


@pytest.fixture
def alone(new_database: Callable[..., str], connect: Any, tmp_path: Path) -> Bench:
    return together(new_database, connect, tmp_path)


def together(new_database: Callable[..., str], connect: Any, directory: Path) -> Bench:
    dsn = new_database()
    return Bench((dsn, dsn), (connect(dsn),) * 2, directory)


ROWS = tuple((tenant, key, "x") for tenant in ("a", "b", "c") for key in (1, 2, 3))


def test_every_tenant_has_the_figures_of_the_full_comparison(bench: Bench) -> None:
    bench.create(rows=ROWS)
    bench.run(1, "DELETE FROM public.new WHERE t = 'a' AND k = 1")
    bench.run(0, "DELETE FROM public.old WHERE t = 'a' AND k = 2")
    bench.run(1, "UPDATE public.new SET v = NULL WHERE t = 'b' AND k = 1")
    bench.run(1, "INSERT INTO public.new VALUES ('b', 2, 'x'), ('b', 2, 'y')")
    full = compare(MappingConfig.model_validate(bench.mapping), endpoints.two_databases(*bench.dsns))
    assert {row.tenant for row in full.tenant_rows} == {"a", "b", "c"}
    for row in full.tenant_rows:
        result = bench.diff(row.tenant)
        assert result.comparison
        totals = result.comparison.totals["things"]
        assert (totals.source_rows, totals.target_rows, totals.counts) == (row.source_rows, row.target_rows, row.counts)
        assert result.result is (DiffResult.DIFFERENT if row.drift else DiffResult.EQUAL)
        assert list(result.comparison.samples) == [sample for sample in full.samples if sample.tenant == row.tenant]


def test_entities_and_keys_restrict_the_comparison(bench: Bench) -> None:
    bench.create(rows=ROWS)
    others = things()
    others["key"], others["compare"] = ["k", "v"], []
    bench.mapping["entities"]["others"] = others
    bench.run(1, "UPDATE public.new SET v = 'y' WHERE t = 'a' AND k = 1")
    both = bench.diff("a").comparison
    assert both
    assert [both.totals[name].counts.total for name in ("things", "others")] == [1, 2]
    [one] = bench.diff("a", entity="things").comparison.totals.items()  # type: ignore[union-attr]
    assert (one[0], one[1].mismatched) == ("things", 1)
    of_key = bench.diff("a", key={"v": "y"})
    assert of_key.comparison
    assert {name: totals.unexpected for name, totals in of_key.comparison.totals.items()} == {"others": 1}
    assert bench.diff("a", key={"k": "2"}).result is DiffResult.EQUAL
    assert bench.diff("b").result is DiffResult.EQUAL


@pytest.mark.parametrize(("request_", "message"), [
    ({"entity": "thing"}, "'thing' is not an entity of the mapping: use things"),
    ({"key": {"id": "1"}}, "no entity has 'id' in its key: things has k"),
    ({"key": {"tenant_id": "1"}}, "no entity has 'tenant_id' in its key: things has k"),
    ({"key": {"k": "one"}}, "'one' is not a value of things.k, which is bigint"),
    ({"key": {"k": "1" * 30}}, "is not a value of things.k, which is bigint"),
    ({"key": {"k": ""}}, "'' is not a value of things.k, which is bigint"),
    ({"key": {"k": "\udc80"}}, "is not valid UTF-8"),
])
def test_impossible_request_is_a_usage_error(bench: Bench, request_: dict[str, Any], message: str) -> None:
    bench.create(rows=ROWS)
    with pytest.raises(UsageError, match=message):
        bench.diff("a", **request_)


@pytest.mark.parametrize(("kind", "names", "other_notation"), [
    ("text", ["a", "b"], None),
    ("varchar(9)", ["a", "b"], None),
    ("char(9)", ["a", "b"], None),
    ("name", ["a", "b"], None),
    ("bigint", ["7", "8"], "007"),
    ("numeric", ["7", "7.5"], "7.000"),
    ("uuid", ["5d4bd1c8-1a1f-4cf2-8f0e-6f4f0b1f7a01", "5d4bd1c8-1a1f-4cf2-8f0e-6f4f0b1f7a02"],
     "{5D4BD1C8-1A1F-4CF2-8F0E-6F4F0B1F7A01}"),
    ("boolean", ["true", "false"], "yes"),
    ("date", ["2026-01-01", "2026-01-02"], "Jan 1, 2026"),
    ("timestamptz", ["2026-01-01 00:00:00+00", "2026-01-01 00:00:01+00"], "2026-01-01 01:00:00+01"),
    ("interval", ["P1D", "P2D"], "24 hours"),
    ("bytea", ["\\x00ff", "\\x0100"], None),
    ("inet", ["10.0.0.1/32", "10.0.0.2/32"], None),
    ("bit(8)", ["10000001", "10000010"], None),
    ("public.kind", ["alpha", "beta"], None),
    ("text", ["acme", "ACME"], None),
    ("public.short", ["a", "b"], None),
])
@pytest.mark.parametrize("column", ["tenant", "key"])
def test_tenants_and_keys_of_any_type_are_selected(
    bench: Bench, column: str, kind: str, names: list[str], other_notation: str | None
) -> None:
    bench.both("CREATE TYPE public.kind AS ENUM ('alpha', 'beta'); CREATE DOMAIN public.short AS varchar(9)")
    if column == "tenant":
        bench.create(tenant=kind, rows=tuple((name, key, "x") for name in names for key in (1, 2)))
        requests: list[dict[str, Any]] = [{"tenant": name} for name in (*names, other_notation) if name]
    else:
        bench.create(key=kind, rows=tuple((tenant, name, "x") for name in names for tenant in "ab"))
        requests = [{"tenant": "a", "key": {"k": name}} for name in (*names, other_notation) if name]
    first, second = ("t", "k") if column == "tenant" else ("k", "t")
    bench.run(1, f"UPDATE public.new SET v = 'y' WHERE {first} = %s AND {second} = %s",
              (names[0], 1 if column == "tenant" else "a"))
    drift = [bench.counts(**each) for each in requests]
    assert drift == [{"mismatched": 1}, {}, {"mismatched": 1}][: len(requests)]
    rows = [bench.diff(**each).comparison.totals["things"].rows for each in requests]  # type: ignore[union-attr]
    assert rows == [4 if column == "tenant" else 2] * len(requests)


HOSTILE = ["'; DROP TABLE public.old; --", "a' OR 'a' = 'a", "\\'; --", "%s %(tenants)s %%", "/* */ -- x\n", "$$", "{}",
           "", " ", "\u202e\U0001f600", "NULL", "é" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_data(bench: Bench, name: str) -> None:
    bench.create(key="text", rows=((name, name, "x"), (name, "other", "x"), ("other", name, "x")))
    bench.run(1, "UPDATE public.new SET v = %s WHERE t = %s AND k = %s", (name, name, name))
    assert bench.counts(name) == {"mismatched": 1}
    assert bench.counts(name, key={"k": name}) == {"mismatched": 1}
    assert bench.diff(name, key={"k": "other"}).result is DiffResult.EQUAL
    assert bench.diff("other").result is DiffResult.EQUAL
    assert bench.diff(f"{name}'").result is DiffResult.NOT_DECIDED


def test_tenant_or_key_without_rows_is_not_decided(bench: Bench) -> None:
    bench.create(rows=ROWS)
    nobody, no_key = bench.diff("nobody"), bench.diff("a", key={"k": "9"})
    assert nobody.result is no_key.result is DiffResult.NOT_DECIDED
    assert nobody.reason.startswith("Neither side has a row of tenant 'nobody' in things")
    assert no_key.reason.startswith("Neither side has a row with k '9' of tenant 'a' in things")


def _with_old_heartbeat(bench: Bench) -> None:
    bench.both("CREATE TABLE public.heartbeat AS SELECT now() - interval '1 hour' AS at")
    bench.mapping["scan"]["heartbeat"] = {"from": "public.heartbeat", "at": "at"}


@pytest.mark.parametrize(("prepare", "reason"), [
    (lambda bench: bench.run(1, "DROP TABLE public.new"), "a table does not exist"),
    (lambda bench: bench.run(0, "ALTER TABLE public.old ALTER v TYPE varchar USING 'x', ALTER k TYPE int"), "bigint"),
    (lambda bench: bench.run(1, "INSERT INTO public.new VALUES ('a', NULL, 'x')"), "NULL in the key"),
    (lambda bench: bench.mapping["entities"]["things"]["target"].update({"where": "random() < 2"}), "volatile"),
    (_with_old_heartbeat, "heartbeat"),
])
def test_guards_of_a_comparison_apply(bench: Bench, prepare: Callable[[Bench], None], reason: str) -> None:
    bench.create(rows=ROWS)
    prepare(bench)
    result = bench.diff("a")
    assert result.result is DiffResult.NOT_DECIDED
    assert reason in result.reason, result.reason
    assert result.as_json_value()["entities"] == {}


def test_locked_table_is_not_decided(bench: Bench, connect: Any) -> None:
    bench.create(rows=ROWS)
    holder = connect(bench.dsns[1])
    holder.autocommit = False
    holder.execute("LOCK TABLE public.new IN ACCESS EXCLUSIVE MODE")
    result = bench.diff("a")
    assert result.result is DiffResult.NOT_DECIDED
    assert "another session held a lock" in result.reason


def test_row_level_security_is_not_decided(bench: Bench, server: Any) -> None:
    bench.create(rows=ROWS)
    bench.both("DO $$ BEGIN CREATE ROLE diff_reader LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$; "
               "GRANT SELECT ON ALL TABLES IN SCHEMA public TO diff_reader")
    bench.run(1, "ALTER TABLE public.new ENABLE ROW LEVEL SECURITY")
    source, target = (dsn.replace("postgres@", "diff_reader@") for dsn in bench.dsns)
    bench.dsns = (source, target)
    result = bench.diff("a")
    assert result.result is DiffResult.NOT_DECIDED
    assert "row-level security" in result.reason, result.reason


def test_dual_write_that_settles_between_two_databases_is_equal(
    new_database: Callable[..., str], connect: Any, tmp_path: Path
) -> None:
    dsns = new_database(), new_database()
    bench = Bench(dsns, (connect(dsns[0]), connect(dsns[1])), tmp_path)
    bench.create(rows=ROWS)
    bench.run(1, "DELETE FROM public.new WHERE k = 1")

    def settle(line: str) -> None:
        if line.startswith("recheck"):
            bench.run(1, "INSERT INTO public.new VALUES ('a', 1, 'x')")

    assert bench.diff("b").result is DiffResult.DIFFERENT
    result = bench.diff("a", settle)
    assert result.result is DiffResult.EQUAL
    assert result.comparison
    assert result.comparison.totals["things"].transient == 1


def test_values_and_context_are_shown_only_if_asked_for(bench: Bench) -> None:
    bench.create(rows=ROWS)
    bench.run(1, "UPDATE public.new SET v = 'secret' WHERE t = 'a' AND k = 1")
    assert "secret" not in json.dumps(bench.diff("a").as_json_value())
    [key] = bench.diff("a", values=True).as_json_value()["keys"]
    assert key == {"entity": "things", "kind": "mismatched", "key": {"k": "1"}, "columns": ["v"],
                   "values": {"v": ["x", "secret"]}, "show": None}
    bench.mapping["report"] = {"sample_values": True}
    entity = bench.mapping["entities"]["things"]
    entity["show"] = ["w"]
    entity["source"]["columns"]["w"] = "'row ' || k"
    [key] = bench.diff("a").as_json_value()["keys"]
    assert (key["values"], key["show"]) == ({"v": ["x", "secret"]}, {"w": "row 1"})


def test_keys_beyond_the_limit_are_counted(bench: Bench) -> None:
    bench.create(rows=tuple(("a", key, "x") for key in range(30)))
    bench.run(1, "DELETE FROM public.new WHERE k < 20")
    result = bench.diff("a", limit=7)
    assert result.comparison
    assert (len(result.comparison.samples), result.not_listed, result.reason) == (7, 13, "20 keys differ.")


def test_key_that_is_mismatched_and_duplicate_is_one_key(bench: Bench) -> None:
    bench.create(rows=(("a", 1, "x"),))
    bench.run(1, "INSERT INTO public.new VALUES ('a', 1, 'y'), ('a', 1, 'y'), ('a', 1, 'z')")
    result = bench.diff("a")
    assert result.comparison
    assert bench.counts("a") == {"mismatched": 1, "duplicate": 3}
    assert (len(result.comparison.samples), result.not_listed, result.reason) == (2, 0, "1 key differs.")


def test_only_rows_of_the_tenant_are_read(bench: Bench) -> None:
    """With an index on the tenant's column, also through a join that names the tenant once."""
    for side, name in enumerate(("old", "new")):
        bench.run(side, f"CREATE TABLE public.{name} (t text, k bigint, v text)")
        bench.run(side, f"INSERT INTO public.{name} SELECT 'tenant ' || i % 2000, i, 'x' "
                        "FROM generate_series(1, 40000) AS i")
        bench.run(side, f"CREATE INDEX ON public.{name} (t); CREATE TABLE public.names_{name} AS SELECT k, v "
                        f"FROM public.{name}; ALTER TABLE public.names_{name} ADD PRIMARY KEY (k)")
    bench.both("ANALYZE")
    joined = things(*(f"public.{name} o JOIN public.names_{name} n ON n.k = o.k" for name in ("old", "new")))
    for side in ("source", "target"):
        joined[side]["columns"] = {"tenant_id": "o.t", "k": "o.k", "v": "n.v"}
    bench.mapping["entities"]["joined"] = joined
    bench.run(1, "UPDATE public.new SET v = 'y' WHERE k = 7")

    def rows_read() -> int:
        return sum(admin.execute("SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables").fetchone()[0]
                   for admin in dict.fromkeys(bench.admins))  # type: ignore[index]

    def connections() -> int:
        return sum(admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orgrecon'")
                   .fetchone()[0] for admin in dict.fromkeys(bench.admins))  # type: ignore[index]

    bench.both("SELECT pg_stat_force_next_flush()")  # of what was read to create the tables
    before = rows_read()
    assert bench.counts("tenant 7", entity="things") == {"mismatched": 1}
    assert bench.diff("tenant 7", entity="joined").result is DiffResult.EQUAL
    wait_until(lambda: not connections())  # a session publishes its statistics when it ends
    assert rows_read() == before


def test_tenant_is_compared_in_every_shard_or_not_decided(bench: Bench) -> None:
    if bench.dsns[0] == bench.dsns[1]:
        pytest.skip("needs two databases")
    for side in (0, 1):
        bench.run(side, "CREATE TABLE public.old (t text, k bigint, v text)")
        bench.run(side, "CREATE TABLE public.new (t text, k bigint, v text)")
        bench.run(side, f"INSERT INTO public.old VALUES ('tenant {side}', 1, 'x')")
    bench.mapping["shards"] = [{"name": name, "source_env": variable, "target_env": variable}
                               for name, variable in (("eu1", "A"), ("us1", "B"))]
    result = bench.diff("tenant 1")
    assert (result.result, result.shards) == (DiffResult.DIFFERENT, ["us1"])
    assert bench.diff("tenant 2").result is DiffResult.NOT_DECIDED
    bench.run(1, "INSERT INTO public.new VALUES ('tenant 0', 1, 'x')")
    with pytest.raises(ConfigurationError, match="has rows in shard eu1 and in shard us1"):
        bench.diff("tenant 0")
    bench.run(0, "DROP TABLE public.new")
    result = bench.diff("tenant 1")
    assert result.result is DiffResult.NOT_DECIDED, "the other shard could hold rows of the tenant"
    assert result.reason.startswith("shard eu1: ")


def test_tenant_that_a_database_cannot_encode_is_a_usage_error(
    server: Any, connect: Any, alone: Bench
) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE diff_latin9 TEMPLATE template0 ENCODING LATIN9 LOCALE 'C'"))
    limited = server.dsn("diff_latin9")
    bench = Bench((alone.dsns[0], limited), (alone.admins[0], connect(limited)), alone.directory)
    bench.create(rows=ROWS)
    with pytest.raises(UsageError, match="encoding lacks its characters"):
        bench.diff("\u4f60")
    assert bench.diff("a").result is DiffResult.EQUAL
