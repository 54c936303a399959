"""A ledger that is away for a moment: every call is repeated, and evidence is stored exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.coverage import CoverageSubject
from orgrecon_pipeline.domain.drift.key import DriftingKey
from orgrecon_pipeline.domain.errors import AlreadyRunning, ConfigurationError, LedgerUnavailable
from orgrecon_pipeline.domain.evidence import Previous, Provenance
from orgrecon_pipeline.ledger.connection import engine as engine_module
from orgrecon_pipeline.ledger.connection.retry import RetryBudget, retry_budget
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.statements.append import NewDrift
from orgrecon_pipeline_tests.support.default_identity import open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import (
    DAY,
    fingerprints,
    full,
    new_sqlite_ledger,
    observation,
    raised,
    raw_connection,
    tenant_row,
)
from orgrecon_pipeline_tests.support.postgres.cutting_proxy import CuttingProxy, cutting_proxy

FULL = full()[0]

# Calls of every public method that reads, except streams, which are not repeated.
READS: dict[str, Callable[[Ledger], Any]] = {
    "acknowledgements": lambda ledger: ledger.acknowledgements("coverage"),
    "breakdown": lambda ledger: ledger.breakdown("full", 10),
    "chain_of": lambda ledger: ledger.chain_of(DAY),
    "deciding": lambda ledger: ledger.deciding(DAY, "latest"),
    "days": lambda ledger: ledger.days(),
    "departed_names": lambda ledger: ledger.departed_names(CoverageSubject.TENANT),
    "evidence": lambda ledger: ledger.evidence(date.max),
    "fingerprints": lambda ledger: ledger.fingerprints("full"),
    "first": lambda ledger: ledger.first(tuple(Provenance)),
    "head": lambda ledger: ledger.head(),
    "id": lambda ledger: ledger.id,
    "identities": lambda ledger: ledger.identities(),
    "kept_keys": lambda ledger: ledger.kept_keys(FULL),
    "known_names": lambda ledger: list(ledger.known_names(CoverageSubject.TENANT)),
    "last_notified": lambda ledger: ledger.last_notified(),
    "latest": lambda ledger: ledger.latest(tuple(Provenance)),
    "links": lambda ledger: ledger.links(),
    "lost_coverage": lambda ledger: ledger.lost_coverage("full"),
    "observation_ids": lambda ledger: ledger.observation_ids(DAY),
    "position": lambda ledger: ledger.position(),
    "ready_tenants": lambda ledger: ledger.ready_tenants("full", "none"),
    "observation": lambda ledger: ledger.observation("full"),
    "observations": lambda ledger: ledger.observations(DAY),
    "redactions": lambda ledger: ledger.redactions(),
    "samples": lambda ledger: ledger.samples("full"),
    "shard_results": lambda ledger: ledger.shard_results("full", exact=False),
    "tenant_drift": lambda ledger: ledger.tenant_drift("full").to_dict(),
    "tenant_observations": lambda ledger: ledger.tenant_observations(),
    "tenant_presences": lambda ledger: [(name, presence.changes) for name, presence in ledger.tenant_presences()],
    "verdict_counts": lambda ledger: ledger.verdict_counts(),
}
# Writes that would add a row twice if a commit was not confirmed, streams, and what does not call the database.
NOT_REPEATED = {"acknowledge", "redact", "vacuum", "record_notified", "chain_breaks", "keys", "reading", "writing",
                "transaction", "own", "address", "engine", "identity", "budget", "past", "at"}
WRITES = {"append", "append_ready_tenants", "append_shard_result", "day_lock", "observation_lock", "notification_lock"}


@pytest.fixture
def proxy(new_database: Callable[..., str], ledger_template: str) -> Iterator[CuttingProxy]:
    """A proxy before a ledger with one observation."""
    url = new_database(ledger_template)
    open_ledger(url).append(*full(), fingerprints=fingerprints())
    with cutting_proxy(url) as running:
        yield running


def patient_ledger(url: str, sleep: Callable[[float], object], lines: list[str] | None = None) -> Ledger:
    """Open a ledger whose calls wait with ``sleep``, for ever."""
    with retry_budget(RetryBudget(1, lines.append if lines is not None else print, sleep=sleep, now=lambda: 0)):
        return open_ledger(url)


def test_every_public_method_of_a_ledger_is_repeated_or_listed() -> None:
    public = {name for name in dir(Ledger) if not name.startswith("_")} | set(Ledger.__dataclass_fields__)
    assert public == READS.keys() | WRITES | NOT_REPEATED


@pytest.mark.parametrize("name", READS)
def test_read_waits_until_the_ledger_answers_again(proxy: CuttingProxy, name: str) -> None:
    lines: list[str] = []
    ledger = patient_ledger(proxy.url, proxy.up, lines)
    expected = READS[name](open_ledger(proxy.url))
    proxy.down()
    assert READS[name](ledger) == expected
    begin, end = lines
    assert begin.startswith("cannot read the Postgres ledger: no server is listening on that host and port: start it")
    assert end == "the ledger answers again after 0 s."


def test_opening_waits_until_the_ledger_answers(proxy: CuttingProxy) -> None:
    for function in (open_ledger, open_existing):
        proxy.down()
        with retry_budget(RetryBudget(1, sleep=proxy.up, now=lambda: 0)):
            opened = function(proxy.url)
        assert opened is not None
        assert opened.days() == [DAY]


def rows_by_observation(url: str) -> dict[str, list[int]]:
    """Return the number of rows in each table that belong to each observation, by its id."""
    with raw_connection(url) as connection:
        tables = [name for (name,) in connection.execute(
            "SELECT table_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND column_name = 'observation' ORDER BY 1")]
        counts = ", ".join(f"(SELECT count(*) FROM {name} WHERE observation = o.number)" for name in tables)
        return {id_: rows for id_, *rows in connection.execute(f"SELECT id, {counts} FROM orgrecon_observation o")}


@pytest.mark.parametrize("after_answer", [False, True])
def test_append_cut_at_any_message_stores_the_observation_once(proxy: CuttingProxy, after_answer: bool) -> None:
    ledger = patient_ledger(proxy.url, lambda seconds: None)
    keys = [DriftingKey("zeta", "org_units", ("7",), ("missing",), ())]
    previous = Previous(since=None, observation=None, skipped=())

    def append(name: str) -> bool:
        _, rows, samples, coverage = full()
        return ledger.append(full(name)[0], rows, samples, coverage, NewDrift(keys, previous, None))

    assert append("uncut")
    names = ["full", "uncut"]
    while proxy.messages >= proxy.cut_at:  # until there is no message to cut
        proxy.cut(len(names) - 1, after_answer=after_answer)
        names.append(f"cut at message {proxy.cut_at}")
        assert append(names[-1]), names[-1]
    assert len(names) > 20
    assert [o.id for o in ledger.observations(DAY)] == names
    stored = rows_by_observation(proxy.url)
    assert {name: stored[name] for name in names[1:]} == dict.fromkeys(names[1:], stored["uncut"])
    assert sum(stored["uncut"]) > 10


def test_rows_that_can_be_iterated_once_are_not_appended_in_part(proxy: CuttingProxy) -> None:
    ledger = patient_ledger(proxy.url, proxy.up)

    def rows() -> Iterator[Any]:
        yield tenant_row("one")
        proxy.down()
        yield tenant_row("two")

    assert type(raised(lambda: ledger.append(observation("a"), rows(), (), ()))) is LedgerUnavailable
    proxy.up()
    assert ledger.observation("a") is None


def test_shard_result_cut_at_any_message_is_stored_once(proxy: CuttingProxy) -> None:
    ledger = patient_ledger(proxy.url, lambda seconds: None)
    for message in range(1, 12):
        proxy.cut(message, after_answer=True)
        ledger.append_shard_result("full", f"shard {message}", False, {"message": message})
    assert ledger.shard_results("full", exact=False) == {f"shard {n}": f'{{"message":{n}}}' for n in range(1, 12)}


def test_lock_waits_until_the_ledger_answers_and_its_loss_is_no_error(proxy: CuttingProxy) -> None:
    ledger = patient_ledger(proxy.url, proxy.up)
    proxy.down()
    with ledger.day_lock(DAY):
        assert type(raised(open_ledger(proxy.url).day_lock(DAY).__enter__)) is AlreadyRunning
        proxy.down()
        assert ledger.append(observation("a"), (), (), ()) is True
    with ledger.day_lock(DAY):
        pass


# Statements that make a ledger unusable for the role ``writer``, those that end it, and the cause.
CONDITIONS: dict[str, tuple[str, str, str]] = {
    "connection limit of the role": (
        "ALTER ROLE {role} CONNECTION LIMIT 0", "ALTER ROLE {role} CONNECTION LIMIT -1", "no free connection slot"),
    "connection limit of the database": (
        "ALTER DATABASE {database} CONNECTION LIMIT 0", "ALTER DATABASE {database} CONNECTION LIMIT -1",
        "no free connection slot"),
    "read-only": (
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER DATABASE {database} RESET default_transaction_read_only", "it is read-only, as a standby is"),
    "closed": ("ALTER DATABASE {database} ALLOW_CONNECTIONS false", "ALTER DATABASE {database} ALLOW_CONNECTIONS true",
               "the database accepts no connections"),
}


@pytest.fixture
def writer(maintenance: psycopg.Connection[Any], new_database: Callable[..., str]) -> Iterator[tuple[str, str]]:
    """The URL of a database without a ledger, of a role that may create one, and the role's name."""
    url = new_database()
    with raw_connection(url) as admin:
        name = admin.execute("SELECT current_database()").fetchone()[0]
        role = f"writer_{name}"
        admin.execute(f"CREATE ROLE {role} LOGIN")
        admin.execute(f"ALTER DATABASE {name} OWNER TO {role}")
    yield url.replace("postgres@", f"{role}@"), role
    maintenance.execute(f"DROP DATABASE {name} WITH (FORCE)")
    maintenance.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(("begin", "end", "cause"), CONDITIONS.values(), ids=CONDITIONS)
def test_condition_that_passes_is_waited_for(
    writer: tuple[str, str], maintenance: psycopg.Connection[Any], begin: str, end: str, cause: str
) -> None:
    url, role = writer
    database = role.removeprefix("writer_")
    lines: list[str] = []

    def change(statement: str) -> None:
        maintenance.execute(statement.format(role=role, database=database))

    def recover(seconds: float) -> None:
        change(end)

    change(begin)
    assert cause in str(raised(lambda: open_ledger(url)))
    ledger = patient_ledger(url, recover, lines)
    assert cause in lines[0]
    change(begin)
    assert ledger.append(*full()) is True
    assert ledger.observations(DAY) == [FULL]


@pytest.mark.parametrize("url", [
    "postgresql://postgres@/nothing_here?{host}", "postgresql://nobody_here@/postgres?{host}",
    "postgresql://postgres@/postgres?{host}&options=-c%20nothing%3D1",
    "postgresql://postgres@/postgres?{host}&target_session_attrs=standby",
    "mysql://host/ledger", "postgresql://postgres@/postgres?{host}&schema=public", "sqlite:///{tmp}",
])
def test_wrong_configuration_is_refused_at_once(server: EmbeddedServer, tmp_path: Path, url: str) -> None:
    def never(seconds: float) -> None:
        pytest.fail("it waits")

    url = url.format(host=server.dsn().partition("?")[2], tmp=tmp_path)
    for function in (open_ledger, open_existing):
        with retry_budget(RetryBudget(60, sleep=never)):
            assert type(raised(lambda: function(url))) is ConfigurationError  # noqa: B023


def test_restarted_server_is_waited_for(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as directory:
        servers = [EmbeddedServer(Path(directory))]
        try:
            ledger = patient_ledger(servers[0].dsn(), lambda seconds: servers.append(EmbeddedServer(Path(directory))))
            servers.pop().stop()
            assert ledger.append(*full()) is True
            assert ledger.observations(DAY) == [FULL]
        finally:
            for running in servers:
                running.stop()


def test_locked_sqlite_file_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_WAIT_SECONDS", 0.1)
    path = tmp_path / "ledger.db"
    new_sqlite_ledger(path)
    with raw_connection(f"sqlite:///{path}") as other:
        lines: list[str] = []
        ledger = patient_ledger(f"sqlite:///{path}", lambda seconds: other.execute("ROLLBACK"), lines)
        other.execute("BEGIN EXCLUSIVE")
        assert ledger.append(*full()) is True
        other.execute("BEGIN EXCLUSIVE")
        assert ledger.observations(DAY) == [FULL]
    assert [line for line in lines if "another process holds a lock on it" in line] == lines[::2]
