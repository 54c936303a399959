"""The tables of a ledger are created once and as a whole; opening for reading changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.tables import REVISION, VERSION_TABLE, metadata
from orgrecon_pipeline_tests.support.default_identity import open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import (
    DAY,
    ChildProcess,
    contents,
    full,
    observation,
    raised,
    raw_connection,
)


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)


def tables_in(url: str) -> set[str]:
    with engine_of(url).connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_migrations_create_the_tables_that_the_code_uses(ledger: Ledger, ledger_url: str) -> None:
    with engine_of(ledger_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            # compare_metadata ignores check constraints and primary keys.
            checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert checks == {
                constraint.name for constraint in table.constraints if isinstance(constraint, sa.CheckConstraint)}
            key = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert key == list(table.primary_key.columns.keys())


def test_revision_constant_is_the_head_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("orgrecon_pipeline.ledger") / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_reopening_a_ledger_changes_nothing(ledger: Ledger, ledger_url: str) -> None:
    ledger.append(*full())
    before = contents(ledger)
    assert contents(open_ledger(ledger_url)) == before
    existing = open_existing(ledger_url)
    assert existing is not None
    assert contents(existing) == before


def test_current_ledger_loads_neither_alembic_nor_pandas(
    ledger: Ledger, start_child: Callable[..., ChildProcess]
) -> None:
    ledger.append(*full())
    code, loaded = start_child(
        "from datetime import date\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation\n"
        "from orgrecon_pipeline_tests.support.default_identity import open_existing, open_ledger\n"
        "open_ledger(url).append(observation('a'), (), (), ())\n"
        "ledger = open_existing(url)\n"
        "ledger.evidence(date.max); ledger.observations(DAY); ledger.breakdown('full', 10)\n"
        "with ledger.day_lock(DAY): pass\n"
        "for name in ('alembic', 'pandas', 'dagster'): print(name in sys.modules)\n",
        fresh=True,
    ).finish()
    assert (code, loaded) == (0, ["False"] * 3)


@pytest.mark.parametrize("revision", ["9999", "a\nb", "0" * 31])
def test_ledger_of_another_revision_is_refused(ledger: Ledger, ledger_url: str, revision: str) -> None:
    ledger.append(*full())
    with raw_connection(ledger_url) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    for function in (open_ledger, open_existing):
        error = raised(lambda: function(ledger_url))  # noqa: B023 - called at once
        assert isinstance(error, ConfigurationError)
        assert "upgrade" in str(error)
        assert "\n" not in str(error)
    with raw_connection(ledger_url) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{REVISION}'")
    assert contents(open_ledger(ledger_url)) == contents(ledger)


@pytest.mark.parametrize("by", ["copy", "move"])
def test_ledger_of_which_another_schema_has_a_table_is_refused(
    new_database: Callable[..., str], ledger_template: str, by: str
) -> None:
    """An empty copy in the schema of the role would hide the evidence, such as a FAIL."""
    url = new_database(ledger_template)
    with raw_connection(url) as admin:
        admin.execute("CREATE SCHEMA postgres")  # "$user"
        for name in (*metadata.tables, VERSION_TABLE):
            if by == "copy":
                admin.execute(f"CREATE TABLE postgres.{name} (LIKE public.{name})")
            else:
                admin.execute(f"ALTER TABLE public.{name} SET SCHEMA postgres")
            for opening in (open_ledger, open_existing):
                error = raised(lambda: opening(url))  # noqa: B023
                assert isinstance(error, ConfigurationError), name
                assert f"its tables are in 2 schemas ({name} in 'postgres', orgrecon_" in str(error)
                assert f" and {len(metadata.tables) - 1} more in 'public'): set the role's search_path" in str(error)
            if by == "copy":
                admin.execute(f"DROP TABLE postgres.{name}")
            else:
                admin.execute(f"ALTER TABLE postgres.{name} SET SCHEMA public")
        admin.execute("CREATE TABLE postgres.orgrecon_of_somebody_else (n int)")
    assert open_existing(url)


def test_opening_for_reading_creates_nothing(ledger_url: str, tmp_path: Path) -> None:
    assert open_existing(ledger_url) is None
    assert list(tmp_path.iterdir()) == []
    if ledger_url.startswith("sqlite"):
        (tmp_path / "ledger.db").touch()
        assert open_existing(ledger_url) is None
        assert (tmp_path / "ledger.db").stat().st_size == 0
        assert open_existing(f"sqlite:///{tmp_path}/no/such/ledger.db") is None
        assert not (tmp_path / "no").exists()
    assert tables_in(ledger_url) == set()


def test_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    assert open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}").days() == []


def test_other_tables_of_the_database_are_unchanged(ledger_url: str) -> None:
    with raw_connection(ledger_url) as connection:
        # Dagster's storage, which may share the database, uses Alembic's default table name.
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('5e139331e376')")
    open_ledger(ledger_url).append(observation("a"), (), (), ())
    with raw_connection(ledger_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("5e139331e376",)]


def test_concurrent_processes_create_a_ledger_once(
    ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    children = [start_child(
        "import alembic.command\n"
        "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import observation\n"
        "write_line('ready'); read_line()\n"
        f"write_line(open_ledger(url).append(observation('{number}'), (), (), ()))\n"
    ) for number in range(3)]
    for child in children:
        assert child.read_line() == "ready"
    for child in children:
        child.write_line()
    assert [child.finish() for child in children] == [(0, ["True"])] * 3
    assert sorted(stored.id for stored in open_ledger(ledger_url).observations(DAY)) == ["0", "1", "2"]
    with raw_connection(ledger_url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(REVISION,)]


def test_process_killed_during_migration_leaves_no_table(
    ledger_url: str, start_child: Callable[[str], ChildProcess]
) -> None:
    for statements in (1, 4, 12, 1_000):
        killed = start_child(
            "import os, signal\n"
            "from sqlalchemy import Engine, event\n"
            "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
            "executed = []\n"
            "@event.listens_for(Engine, 'after_cursor_execute')\n"
            "def count(connection, cursor, statement, *_):\n"
            "    if statement.lstrip().startswith(('CREATE', 'INSERT', 'UPDATE')):\n"
            "        executed.append(statement)\n"
            f"    if len(executed) == {statements} or 'INSERT INTO {VERSION_TABLE}' in statement:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "open_ledger(url)\n"
        )
        assert killed.finish() == (-9, [])
        assert open_existing(ledger_url) is None
        assert tables_in(ledger_url) == set()
    assert open_ledger(ledger_url).append(*full()) is True
