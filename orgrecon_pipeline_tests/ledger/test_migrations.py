"""A ledger's tables: made once, whole, and never by two; left alone by those who only read."""

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
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.ledger import migrate as migrating
from orgrecon_pipeline.ledger import open as opening
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_existing, open_ledger
from orgrecon_pipeline.ledger.revisions import HEAD, REVISIONS, VERSION_TABLE
from orgrecon_pipeline.ledger.tables import metadata
from orgrecon_pipeline_tests.support.ledger.cases import DAY, Child, full, holdings, observation, raised, raw


def engine_of(url: str) -> sa.Engine:
    return sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)


def tables_in(url: str) -> set[str]:
    with engine_of(url).connect() as connection:
        return set(sa.inspect(connection).get_table_names())


def test_the_migrations_make_the_tables_that_the_code_uses(ledger: Ledger, ledger_url: str) -> None:
    with engine_of(ledger_url).connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            # What the comparison does not look at.
            checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert checks == {one.name for one in table.constraints if isinstance(one, sa.CheckConstraint)}
            key = inspector.get_pk_constraint(table.name)["constrained_columns"]
            assert key == list(table.primary_key.columns.keys())


def test_revisions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(resources.files("orgrecon_pipeline.ledger") / "migrations"))
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([one.revision for one in script.walk_revisions()])) == REVISIONS
    assert script.get_heads() == [HEAD]


def test_opening_again_changes_nothing(ledger: Ledger, ledger_url: str) -> None:
    ledger.append(*full())
    before = holdings(ledger)
    assert holdings(open_ledger(ledger_url)) == before
    again = open_existing(ledger_url)
    assert again is not None
    assert holdings(again) == before


def test_a_ledger_at_head_needs_neither_alembic_nor_pandas(ledger: Ledger, child: Callable[[str], Child]) -> None:
    ledger.append(*full())
    code, heavy = child(
        "from datetime import date\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import DAY, observation\n"
        "from orgrecon_pipeline.ledger.open import open_existing, open_ledger\n"
        "open_ledger(url).append(observation('a'), (), (), ())\n"
        "ledger = open_existing(url)\n"
        "ledger.evidence(date.max, 'latest'); ledger.observations(DAY); ledger.breakdown('full', 10)\n"
        "with ledger.day_lock(DAY): pass\n"
        "for name in ('alembic', 'pandas', 'dagster'): print(name in sys.modules)\n"
    ).ends()
    assert (code, heavy) == (0, ["False"] * 3)


@pytest.mark.parametrize("revision", ["9999", "a\nb", "0" * 31])
def test_a_ledger_of_another_version_is_refused(ledger: Ledger, ledger_url: str, revision: str) -> None:
    ledger.append(*full())
    with raw(ledger_url) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'")
    for open_one in (open_ledger, open_existing):
        refusal = raised(lambda: open_one(ledger_url))  # noqa: B023 - called at once
        assert isinstance(refusal, ConfigurationError)
        assert "upgrade" in str(refusal)
        assert "\n" not in str(refusal)
    with raw(ledger_url) as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")
    assert holdings(open_ledger(ledger_url)) == holdings(ledger)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_ledger_of_an_older_version_is_read_as_it_is_and_migrated_by_who_writes(
    revision: str, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = migrating.command.upgrade
    with monkeypatch.context() as then:
        then.setattr(migrating.command, "upgrade", lambda config, _: upgrade(config, revision))
        open_ledger(ledger_url).append(*full())
    reader = open_existing(ledger_url)
    assert reader is not None
    assert (reader.evidence(DAY, "latest")[DAY].verdict, len(reader.observations(DAY))) == (Verdict.FAIL, 1)
    with raw(ledger_url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(revision,)]
    seen = reader.observations(DAY)
    migrated = open_ledger(ledger_url)
    assert (migrated.observations(DAY), migrated.last_notified()) == (seen, {})
    with raw(ledger_url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]


def test_a_ledger_that_is_too_old_to_be_read_says_what_to_do(ledger: Ledger, ledger_url: str,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "READABLE", ())
    with pytest.raises(ConfigurationError, match="run orgrecon report, which migrates it"):
        open_existing(ledger_url)


def test_reading_makes_nothing(ledger_url: str, tmp_path: Path) -> None:
    assert open_existing(ledger_url) is None
    assert list(tmp_path.iterdir()) == []
    if ledger_url.startswith("sqlite"):
        (tmp_path / "ledger.db").touch()
        assert open_existing(ledger_url) is None
        assert (tmp_path / "ledger.db").stat().st_size == 0
        assert open_existing(f"sqlite:///{tmp_path}/no/such/ledger.db") is None
        assert not (tmp_path / "no").exists()
    assert tables_in(ledger_url) == set()


def test_an_empty_file_becomes_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").touch()
    assert open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}").days() == []


def test_other_tables_of_the_database_are_left_alone(ledger_url: str) -> None:
    with raw(ledger_url) as connection:
        # Dagster's storage, which may share the database.
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
        connection.execute("INSERT INTO alembic_version VALUES ('5e139331e376')")
    open_ledger(ledger_url).append(observation("a"), (), (), ())
    with raw(ledger_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("5e139331e376",)]


def test_many_open_a_new_ledger_at_once(ledger_url: str, child: Callable[[str], Child]) -> None:
    children = [child(
        "from orgrecon_pipeline.ledger import migrate as migrating\n"
        "from orgrecon_pipeline.ledger.open import open_ledger\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import observation\n"
        "say('ready'); hear()\n"
        f"say(open_ledger(url).append(observation('{number}'), (), (), ()))\n"
    ) for number in range(3)]
    for one in children:
        assert one.says() == "ready"
    for one in children:
        one.tell()
    assert [one.ends() for one in children] == [(0, ["True"])] * 3
    assert [seen.id for seen in open_ledger(ledger_url).observations(DAY)] == ["0", "1", "2"]
    with raw(ledger_url) as connection:
        assert connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [(HEAD,)]


def test_a_process_killed_while_it_migrates_leaves_no_half(ledger_url: str, child: Callable[[str], Child]) -> None:
    for statements in (1, 4, 12, 1_000):
        killed = child(
            "import os, signal\n"
            "from sqlalchemy import Engine, event\n"
            "from orgrecon_pipeline.ledger.open import open_ledger\n"
            "made = []\n"
            "@event.listens_for(Engine, 'after_cursor_execute')\n"
            "def count(connection, cursor, statement, *_):\n"
            "    if statement.lstrip().startswith(('CREATE', 'INSERT', 'UPDATE')):\n"
            "        made.append(statement)\n"
            f"    if len(made) == {statements} or 'INSERT INTO {VERSION_TABLE}' in statement:\n"
            "        os.kill(os.getpid(), signal.SIGKILL)\n"
            "open_ledger(url)\n"
        )
        assert killed.ends() == (-9, [])
        assert open_existing(ledger_url) is None
        assert tables_in(ledger_url) == set()
    assert open_ledger(ledger_url).append(*full()) is True
