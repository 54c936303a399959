"""The command ``init``: what it writes and refuses, its messages, and its questions on a terminal."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from orgrecon_pipeline.config.mapping_file import default_mapping, parse_mapping
from orgrecon_pipeline_tests.support.cli.conversation import Conversation
from orgrecon_pipeline_tests.support.cli.process import CommandResult
from orgrecon_pipeline_tests.support.proposal.schema_sql import pair, read

Command = Callable[..., CommandResult]
Connect = Callable[[str], psycopg.Connection[Any]]
READER_SQL = "CREATE ROLE reader LOGIN"


@pytest.fixture
def database(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database, named by ``DATABASE_URL``."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    return empty_database


def test_packaged_tables_get_a_mapping_that_is_ready_and_passes(
    seeded_database: str, monkeypatch: pytest.MonkeyPatch, orgrecon: Command, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", seeded_database)
    result = orgrecon("init")
    assert (result.code, result.err) == (0, "")
    assert "next: read orgrecon.yaml, then run orgrecon report" in result.out
    mapping = parse_mapping((tmp_path / "orgrecon.yaml").read_text("utf-8"), "orgrecon.yaml")
    assert mapping.tenants == default_mapping().tenants
    assert mapping.entities.keys() == default_mapping().entities.keys()
    assert mapping.entities["org_units"].compare == ("name", "parent_team_id")
    assert mapping.entities["org_unit_memberships"].key == ("team_id", "user_id")
    assert orgrecon("report", "--output-dir", "reports").code == 0


@pytest.mark.parametrize("there", ["file", "directory", "broken link"])
def test_file_that_exists_is_never_replaced(there: str, database: str, orgrecon: Command, tmp_path: Path) -> None:
    path = tmp_path / "orgrecon.yaml"
    if there == "file":
        path.write_text("mine", "utf-8")
    elif there == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "elsewhere")
    result = orgrecon("init")
    assert (result.code, result.out) == (2, "")
    assert result.err == "orgrecon: orgrecon.yaml exists: name another file with --output, or move it away.\n"
    assert os.listdir(tmp_path) == ["orgrecon.yaml"]
    assert there != "file" or path.read_text("utf-8") == "mine"


@pytest.mark.parametrize(("sql", "arguments", "message"), [
    ("", [], "the database has no tables: check the database in the URL"),
    ("CREATE TABLE a (id integer); CREATE TABLE b (name text)", [],
     "no two of the tables seem to hold the same rows (public.a, public.b): name the two with --pair SOURCE=TARGET."),
    ("", ["--pair", "a"], "--pair 'a' does not name two tables"),
    ("CREATE TABLE a (id integer)", ["--pair", "a=b"], "--pair 'b': the database has no such table"),
    ("CREATE TABLE a (id integer)", ["--tenant-column", "org"], "--tenant-column 'org': no table has such a column"),
    ("CREATE TABLE a (id integer)", ["--pair", "a=a"], "--pair names one table twice"),
    *(("CREATE TABLE a (id integer); CREATE TABLE b (id integer); CREATE TABLE c (id integer)",
       ["--pair", first, "--pair", second], f"--pair names one table twice (public.{table}): name each table once")
      for first, second, table in (("a=b", "a=c", "a"), ("a=c", "b=c", "c"), ("a=b", "b=c", "b"))),
    ("CREATE SCHEMA x; CREATE TABLE a (); CREATE TABLE x.a ()", ["--pair", "a=x.a"],
     "several tables have this name: write public.a or x.a"),
    ("CREATE TABLE a (id integer PRIMARY KEY); CREATE MATERIALIZED VIEW b AS SELECT * FROM a", ["--pair", "a=b"],
     "--pair 'b' is a materialised view, which shows its last refresh: map the tables behind it."),
    ("CREATE TABLE a (id integer PRIMARY KEY); CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; "
     "CREATE FOREIGN TABLE b (id integer) SERVER s", ["--pair", "a=b"],
     "--pair 'b' is a foreign table, which is not part of the snapshot: map the table on its own server."),
    ("".join(f"CREATE SCHEMA c{n}; CREATE TABLE c{n}.a (id integer); CREATE TABLE c{n}.b (id integer);"
             for n in range(4)), [],
     "4 schemas have the same tables (c0, c1, c2 and 1 more): name one of them with --schema"),
    ("", ["--name", "Not A Name"], "--name: 'Not A Name' is not a name"),
    ("", ["--target-database-url", "mysql://x"], "ORGRECON_TARGET_DATABASE_URL is not a Postgres URL"),
    ("CREATE TABLE a (id integer)", ["--schema", "nowhere"], "the database has no tables"),
    (pair("users", "users_v2", "public", "public"), ["--output", "no/such/orgrecon.yaml"],
     "no/such/orgrecon.yaml cannot be written (No such file or directory)"),
])
def test_impossible_request_is_one_line_and_writes_nothing(
    sql: str, arguments: list[str], message: str, database: str, connect: Connect, orgrecon: Command, tmp_path: Path
) -> None:
    connect(database).execute(sql.encode())
    result = orgrecon("init", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert result.err.count("\n") == 1
    assert os.listdir(tmp_path) == []


def test_too_many_tables_must_be_restricted_to_a_schema(
    database: str, connect: Connect, orgrecon: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orgrecon_pipeline.proposal.catalog.read.MAX_RELATIONS", 2)
    connect(database).execute(pair("users", "users_v2", "public", "public") + pair("a", "b", "x", "x"))
    result = orgrecon("init")
    assert (result.code, "has more than 2 tables and views: name the schemas to read with --schema" in result.err) == (
        2, True)
    assert orgrecon("init", "--schema", "public").code == 0


def test_tables_that_the_role_cannot_read_are_listed_with_the_remedy(
    database: str, connect: Connect, orgrecon: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connection = connect(database)
    connection.execute(pair("users", "users_v2", "public", "public") + "CREATE TABLE secret (id integer);")
    connection.execute("CREATE ROLE init_reader LOGIN")
    try:
        monkeypatch.setenv("DATABASE_URL", database.replace("://postgres@", "://init_reader@"))
        assert "init_reader" in os.environ["DATABASE_URL"], make_conninfo(database)
        refused = orgrecon("init")
        assert refused.code == 2
        assert "the role can read none of the 3 tables: grant USAGE on their schema, and SELECT" in refused.err
        connection.execute("GRANT SELECT ON public.users, public.users_v2 TO init_reader")
        assert orgrecon("init", "--format", "json").code == 0
        assert "#   public.secret: cannot be read by this role: grant SELECT on it" in (
            tmp_path / "orgrecon.yaml").read_text("utf-8")
        connection.execute("ALTER TABLE users_v2 ENABLE ROW LEVEL SECURITY")
        hidden = json.loads(orgrecon("init", "--format", "json", "--output", "rls.yaml").out)
        assert hidden["ready"] is False
        assert "row-level security" in str(hidden["doctor"])
    finally:
        connection.execute("DROP OWNED BY init_reader; DROP ROLE init_reader")


def test_no_value_of_a_row_is_printed_or_written(
    database: str, connect: Connect, orgrecon: Command, tmp_path: Path
) -> None:
    connect(database).execute(pair("users", "users_v2", "public", "public"))
    result = orgrecon("init", "--format", "json")
    assert result.code == 0
    for text in (result.out, result.err, (tmp_path / "orgrecon.yaml").read_text("utf-8")):
        assert "example.com" not in text
        assert "tenant-1" not in text


def test_open_question_is_refused_by_other_commands_with_its_line(
    database: str, connect: Connect, orgrecon: Command
) -> None:
    connect(database).execute((read("few_keys") + pair("users", "users_v2", "public", "public")).encode())
    result = orgrecon("init")
    assert result.code == 0
    assert "ready, once each TODO is decided" in result.out.splitlines()
    assert "TODO team_v2: public.team, public.team_v2: " in result.out
    assert "next: read orgrecon.yaml, decide each TODO, then run orgrecon doctor" in result.out
    for command in (["report"], ["doctor"], ["gate"]):
        refused = orgrecon(*command)
        assert (refused.code, refused.out) == (2, "")
        assert "entities.team_v2 is still TODO (named alike; the target has 20 of 60 sampled keys" in refused.err


@pytest.mark.usefixtures("database")
def test_doctor_without_a_mapping_for_these_tables_names_init(orgrecon: Command) -> None:
    result = orgrecon("doctor")
    assert result.code == 1
    assert "public.teams\" does not exist" in result.out
    assert "run orgrecon init to propose a mapping" in result.out


@pytest.mark.parametrize(("tables", "missing"), [
    ("SELECT", 'public.teams" does not exist'),
    ("CREATE TABLE teams (tenant_id text, id int, name text, parent_team_id int)", '"deleted_at" does not exist'),
])
def test_report_without_a_mapping_for_these_tables_names_init(
    database: str, connect: Connect, orgrecon: Command, tables: str, missing: str
) -> None:
    connect(database).execute(tables.encode())
    hint = "the mapping is the packaged default: if your tables are others, run orgrecon init to propose a mapping"
    result = orgrecon("report", "--output-dir", "reports")
    assert result.code == 3
    assert missing in result.err
    assert hint in result.err
    assert "search_path" not in result.out + result.err
    assert hint in orgrecon("report", "--output-dir", "reports", "--format", "json").err


def test_report_on_a_missing_table_of_an_own_mapping_does_not_name_init(
    seeded_database: str, connect: Connect, monkeypatch: pytest.MonkeyPatch, orgrecon: Command
) -> None:
    monkeypatch.setenv("DATABASE_URL", seeded_database)
    assert orgrecon("init").code == 0
    connect(seeded_database).execute("DROP TABLE public.teams CASCADE")
    result = orgrecon("report", "--output-dir", "reports")
    assert result.code == 3
    assert "public.teams\" does not exist" in result.err
    assert "orgrecon init" not in result.err


@pytest.mark.parametrize(("command", "code", "stream"), [
    ("report --output-dir reports", 3, "err"), ("doctor", 1, "out"),
])
def test_command_that_cannot_connect_does_not_name_init(
    orgrecon: Command, monkeypatch: pytest.MonkeyPatch, command: str, code: int, stream: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/app")
    result = orgrecon(*command.split())
    assert result.code == code
    assert "no server is listening" in getattr(result, stream)
    assert "orgrecon init" not in result.out + result.err


def test_questions_on_a_terminal_decide_what_is_open(database: str, connect: Connect, tmp_path: Path) -> None:
    connect(database).execute(read("few_keys") + pair("users", "users_v2", "public", "public"))
    with Conversation(tmp_path, "init", DATABASE_URL=database) as terminal:
        terminal.answer("Compare public.users (source) with public.users_v2 (target)?", "y")
        options = terminal.answer("Choose:", "9")
        assert "1. compare them: public.team is the source" in options
        assert "2. compare them: public.team_v2 is the source" in options
        terminal.answer("write a number from 1 to 4", "1")
        terminal.answer("Name of the migration, part of all its evidence [org-v23]:", "Not a name")
        terminal.answer("Name of the migration", "my-teams")
        code, screen = terminal.end()
    assert code == 0
    assert "next: read orgrecon.yaml, then run orgrecon report" in screen
    mapping = parse_mapping((tmp_path / "orgrecon.yaml").read_text("utf-8"), "orgrecon.yaml")
    assert mapping.migration.name == "my-teams"
    assert mapping.entities.keys() == {"users_v2", "team_v2"}


def test_refused_pair_and_kept_deleted_rows_are_as_answered(database: str, connect: Connect, tmp_path: Path) -> None:
    connect(database).execute(read("status") + pair("users", "users_v2", "public", "public"))
    with Conversation(tmp_path, "init", "--name", "m", DATABASE_URL=database) as terminal:
        terminal.answer("public.member_v2 (target)?", "y")
        terminal.answer("Leave out the rows that public.member (status) and public.member_v2 (deleted_at) mark", "n")
        terminal.answer("public.users_v2 (target)?", "n")
        code, _ = terminal.end()
    assert code == 0
    mapping = parse_mapping((tmp_path / "orgrecon.yaml").read_text("utf-8"), "orgrecon.yaml")
    [member] = mapping.entities.values()
    assert [relation.where for relation in (*member.source, *member.target)] == [None, None]


def test_answers_are_not_asked_for_if_nothing_can_answer(
    database: str, connect: Connect, orgrecon: Command, tmp_path: Path
) -> None:
    connect(database).execute(read("few_keys"))
    with Conversation(tmp_path, "init", "--non-interactive", DATABASE_URL=database) as terminal:
        code, screen = terminal.end()
    assert (code, "Choose" in screen) == (0, False)


def test_interrupt_at_a_question_writes_nothing(database: str, connect: Connect, tmp_path: Path) -> None:
    connect(database).execute(pair("users", "users_v2", "public", "public"))
    with Conversation(tmp_path, "init", DATABASE_URL=database) as terminal:
        terminal.interrupt("[Y/n]:")
        code, screen = terminal.end()
    assert (code, "Traceback" in screen) == (130, False)
    assert not list(tmp_path.glob("*orgrecon*"))


def test_end_of_the_input_at_a_question_writes_nothing(database: str, connect: Connect, tmp_path: Path) -> None:
    connect(database).execute(pair("users", "users_v2", "public", "public"))
    with Conversation(tmp_path, "init", DATABASE_URL=database) as terminal:
        terminal.end_input("[Y/n]:")
        code, screen = terminal.end()
    assert code == 2
    assert screen.splitlines()[-1].startswith("orgrecon: the input ended before the last question, so nothing was ")
    assert not list(tmp_path.glob("*orgrecon*"))
