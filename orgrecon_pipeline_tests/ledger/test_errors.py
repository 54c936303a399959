"""Every failure of a ledger gives one helpful line without secrets, and leaves the stored evidence unchanged."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from sqlalchemy import event

from orgrecon_pipeline.demo.server import EmbeddedServer
from orgrecon_pipeline.domain.errors import ConfigurationError, EvidenceNotStored, LedgerUnavailable, OrgreconError
from orgrecon_pipeline.domain.evidence import Provenance
from orgrecon_pipeline.ledger.connection import engine as engine_module
from orgrecon_pipeline.ledger.connection.address import SqliteAddress
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline_tests.support.default_identity import IDENTITY, open_existing, open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import (
    DAY,
    ChildProcess,
    contents,
    full,
    observation,
    raised,
    raw_connection,
    tenant_row,
)

PASSWORD = "p@ss:w/rd?%#'\"é"  # the secret canary, with every character that is special in a URL
ENCODED = quote(PASSWORD, safe="")


def refusal(action: Callable[[], object], kind: type[OrgreconError]) -> str:
    """Return the message of the error that an action raises, after checking that no log could show the canary."""
    error = raised(action)
    assert type(error) is kind, repr(error)
    text = str(error)
    assert "\n" not in text
    shown = "".join(traceback.format_exception(error))
    for secret in (PASSWORD, ENCODED, "p@ss", "p%40ss", "w/rd", "w%2Frd"):
        assert secret not in shown
    return text


@pytest.mark.parametrize("url", [
    "", "ledger.db", "mysql://u:%s@h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/ledger.db",
    "sqlite:///ledger.db?mode=ro", "sqlite:///a\x00b", "sqlite:////tmp/\udcff.db", "sqlite:///two\nlines.db",
    "sqlite+aiosqlite:///ledger.db",
    "postgresql://u:%s@h:port/d", "postgresql://u:%s@h/d?pasword=%s", "postgresql://u:p@ss@h/d",
    "postgresql://u:%%00@h/d", "postgresql://u:%s@[::1/d", "postgresql://u:%s@/d?host=%%2Ftmp&sslmode=banana",
    "postgresql://u:%s@127.0.0.1:99999/d", "postgresql:///d?service=%s",
])
@pytest.mark.parametrize("function", [open_ledger, open_existing])
def test_invalid_ledger_url_is_refused(
    url: str, function: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = refusal(lambda: function(url.replace("%s", ENCODED).replace("%%", "%")), ConfigurationError)
    assert "ledger" in text.lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("url", "message"), [
    ("postgresql://u:%s@127.0.0.1:1/d", "no server is listening"),
    ("postgresql+asyncpg://u:%s@127.0.0.1:1/d", "no server is listening"),
    ("postgresql://u@127.0.0.1:1/d?password=%s", "no server is listening"),
    ("postgres://u:%s@/d?host=/no/such/directory", "the socket does not exist"),
])
def test_unreachable_server_is_reported_without_the_url(url: str, message: str) -> None:
    for function in (open_ledger, open_existing):
        assert message in refusal(lambda: function(url.replace("%s", ENCODED)), LedgerUnavailable)  # noqa: B023


@pytest.fixture
def guarded(server: EmbeddedServer, empty_database: str) -> Iterator[str]:
    """The URL of a database whose role ``guarded`` has the canary as its password."""
    rules = server.data_dir / "cluster" / "pg_hba.conf"
    before = rules.read_text(encoding="utf-8")
    with psycopg.connect(empty_database, autocommit=True) as admin:
        admin.execute("SET password_encryption = 'scram-sha-256'")
        admin.execute(psycopg.sql.SQL("CREATE ROLE guarded LOGIN PASSWORD {}").format(PASSWORD))
        name = urlsplit(empty_database).path[1:]
        admin.execute(psycopg.sql.SQL("ALTER DATABASE {} OWNER TO guarded").format(psycopg.sql.Identifier(name)))
        rules.write_text(f"local all guarded scram-sha-256\n{before}", encoding="utf-8")
        admin.execute("SELECT pg_reload_conf()")
        try:
            # A new connection uses the new rules only after the postmaster has reloaded them.
            while _connects_without_password(empty_database):
                pass
            yield empty_database.replace("postgres@", "guarded:%s@")
        finally:
            rules.write_text(before, encoding="utf-8")
            admin.execute("SELECT pg_reload_conf()")
            admin.execute("DROP OWNED BY guarded CASCADE")
            admin.execute(psycopg.sql.SQL("ALTER DATABASE {} OWNER TO postgres").format(psycopg.sql.Identifier(name)))
            admin.execute("DROP ROLE guarded")


def _connects_without_password(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect(url.replace("postgres@", "guarded@")).close()
        return True
    return False


def test_password_opens_the_ledger_and_is_never_shown(guarded: str) -> None:
    ledger = open_ledger(guarded.replace("%s", ENCODED))
    assert ledger.append(*full()) is True
    for shown in (repr(ledger), str(ledger), repr(vars(ledger)), repr(ledger.engine)):
        assert PASSWORD not in shown
        assert ENCODED not in shown
    for wrong, kind, message in (
        (ENCODED + "x", LedgerUnavailable, "the server rejected the user name or password"),
        (quote("p@ss", safe=""), LedgerUnavailable, "the server rejected the user name or password"),
        ("", ConfigurationError, "the server requires a password"),
    ):
        for function in (open_ledger, open_existing):
            assert message in refusal(lambda: function(guarded.replace("%s", wrong)), kind)  # noqa: B023


@pytest.mark.parametrize("content", [b"text instead of a database\n" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_file_that_is_not_a_database_is_refused_and_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    for function in (open_ledger, open_existing):
        assert str(path) in refusal(lambda: function(f"sqlite:///{path}"), ConfigurationError)  # noqa: B023
    assert path.read_bytes() == content


def test_impossible_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling.db").symlink_to(tmp_path / "no" / "such")
    for name in ("file/ledger.db", "dangling.db", "n" * 300, ""):
        assert "ledger" in refusal(lambda: open_ledger(f"sqlite:///{tmp_path}/{name}"), ConfigurationError)  # noqa: B023


def test_unusual_path_becomes_a_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b#c%20d/é'\".db", "./x/../y.db", "deep/er/and/deeper.db"):
        assert open_ledger(f"sqlite:///{name}").append(observation("a"), (), (), ()) is True
        assert Path(name).is_file()


def as_unprivileged_user(action: Callable[[], object]) -> None:
    """Run an action, which must not raise, in a process without root's rights (root can write everything)."""
    child = os.fork()
    if not child:
        code = 1
        with contextlib.suppress(BaseException):
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                action()
                code = 0
            except BaseException:
                traceback.print_exc()
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A filled ledger in a directory; both are write-protected."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="orgrecon-ro-") as directory:  # other users can access it
        path = Path(directory) / "ledger.db"
        open_ledger(f"sqlite:///{path}").append(*full())
        path.chmod(0o444)
        Path(directory).chmod(0o555)
        yield path
        Path(directory).chmod(0o755)


def test_write_protected_ledger_can_be_read_but_not_written(protected: Path) -> None:
    url = f"sqlite:///{protected}"
    engine = engine_module.make_engine(SqliteAddress(protected), create=False)
    opened = Ledger(SqliteAddress(protected), engine, IDENTITY)

    def check() -> None:
        ledger = open_existing(url)
        assert ledger is not None
        assert ledger.observations(DAY) == [full()[0]]
        assert "read-only" in refusal(lambda: open_ledger(url), ConfigurationError)
        assert "read-only" in refusal(lambda: opened.append(observation("a"), (), (), ()), EvidenceNotStored)
        refusal(opened.day_lock(DAY).__enter__, EvidenceNotStored)

    as_unprivileged_user(check)


def test_standby_can_be_read_but_not_written(empty_database: str) -> None:
    open_ledger(empty_database).append(*full())
    read_only = f"{empty_database}&options=-c%20default_transaction_read_only%3Don"
    ledger = open_existing(read_only)
    assert ledger is not None
    assert ledger.observations(DAY) == [full()[0]]
    assert "read-only" in refusal(lambda: open_ledger(read_only), LedgerUnavailable)


def test_append_to_a_locked_ledger_times_out(
    ledger: Ledger, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(*full())
    before = contents(ledger)
    monkeypatch.setattr(engine_module, "_WAIT_SECONDS", 0.2)
    settings = engine_module._POSTGRES_SETTINGS.replace("'30s'", "'200ms'")
    monkeypatch.setattr(engine_module, "_POSTGRES_SETTINGS", settings)
    with raw_connection(ledger_url) as other:
        if ledger_url.startswith("sqlite"):
            other.execute("BEGIN IMMEDIATE")
        else:
            other.execute("BEGIN; LOCK TABLE orgrecon_observation IN ACCESS EXCLUSIVE MODE")
        assert "holds a lock" in refusal(
            lambda: open_ledger(ledger_url).append(observation("a"), (), (), ()), LedgerUnavailable)
        other.execute("ROLLBACK")
    assert contents(ledger) == before
    assert ledger.append(observation("a"), (), (), ()) is True


def test_full_disk_leaves_the_stored_evidence_unchanged(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.append(*full())
    before = contents(ledger)

    def full_disk(connection: sqlite3.Connection, record: object) -> None:
        connection.execute("PRAGMA max_page_count = 60")  # gives SQLite's error for a full disk

    engine = ledger.engine
    event.listen(engine, "connect", full_disk)
    many = [tenant_row(f"tenant {number} " + "x" * 100) for number in range(5_000)]
    assert "disk is full" in refusal(lambda: ledger.append(observation("a"), many, (), ()), LedgerUnavailable)
    assert contents(ledger) == before
    event.remove(engine, "connect", full_disk)
    assert ledger.append(observation("a"), many, (), ()) is True


def test_file_size_limit_leaves_the_stored_evidence_unchanged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = open_ledger(url)
    ledger.append(*full())
    before = contents(ledger)
    child = ChildProcess(url, (
        "import resource, signal\n"
        "from orgrecon_pipeline_tests.support.ledger.cases import observation, tenant_row\n"
        "from orgrecon_pipeline.domain.errors import EvidenceNotStored\n"
        "from orgrecon_pipeline_tests.support.default_identity import open_ledger\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
        "try: open_ledger(url).append(observation('a'), [tenant_row(str(n) * 30) for n in range(20_000)], (), ())\n"
        "except EvidenceNotStored as error: write_line(error)\n"
    ))
    code, [line] = child.finish()
    assert code == 0
    assert "the disk reports an error" in line
    assert contents(ledger) == before


def test_deleted_ledger_file_is_not_created_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}")
    path.unlink()
    refusal(lambda: ledger.append(*full()), EvidenceNotStored)
    refusal(ledger.days, ConfigurationError)
    assert not path.exists()


def test_damaged_file_is_reported_as_damaged(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}")
    ledger.append(observation("a"), [tenant_row(f"tenant {number}") for number in range(5_000)], (), ())
    content = bytearray(path.read_bytes())
    content[8_192:] = b"\xff" * (len(content) - 8_192)
    path.write_bytes(content)
    assert "damaged" in refusal(lambda: ledger.breakdown("a", 5), ConfigurationError)
    assert "damaged" in refusal(lambda: ledger.append(observation("b"), (), (), ()), EvidenceNotStored)


@pytest.mark.parametrize(("column", "value"), [
    ("day", "garbage"), ("observed_at", "garbage"), ("compared", "{x"), ("compared", "[]"), ("tenants_scanned", "x"),
    ("reason_code", "garbage"), ("reason_parameters", "{x")])
def test_foreign_value_in_a_column_is_refused(tmp_path: Path, column: str, value: str) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.append(*full())
    with raw_connection(f"sqlite:///{tmp_path / 'ledger.db'}") as connection:
        for trigger in ("no_update", "only_redaction"):
            connection.execute(f"DROP TRIGGER orgrecon_observation_{trigger}")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE orgrecon_observation SET {column} = '{value}'")
    readers: list[Callable[[], object]] = [lambda: ledger.latest(tuple(Provenance))]
    if column in ("observed_at", "reason_code", "reason_parameters"):  # parsed for the evidence, too
        readers.append(lambda: ledger.evidence(date.max))
    for reader in readers:
        text = refusal(reader, ConfigurationError)
        assert "did not write" in text
        assert value not in text


def test_connection_lost_during_append_leaves_nothing(empty_database: str) -> None:
    ledger = open_ledger(empty_database)
    ledger.append(*full())
    before = contents(ledger)

    def rows(count: int, cut_at: int) -> Iterator[object]:
        for number in range(count):
            if number == cut_at:
                with raw_connection(empty_database) as admin:
                    admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                                  "WHERE datname = current_database() AND pid <> pg_backend_pid()")
            yield tenant_row(f"tenant {number}")

    for count, cut_at in ((1, 0), (20_000, 15_000)):
        refusal(lambda: ledger.append(observation("a"), rows(count, cut_at), (), ()), LedgerUnavailable)  # type: ignore[arg-type]  # noqa: B023
        assert contents(ledger) == before
    assert ledger.append(observation("a"), [tenant_row("x")], (), ()) is True


def test_read_only_role_can_read_and_learns_which_grant_is_missing(
    server: EmbeddedServer, new_database: Callable[..., str]
) -> None:
    url, empty = new_database(), new_database()
    open_ledger(url).append(*full())
    with raw_connection(empty) as admin:
        admin.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # the default since PostgreSQL 15
    with raw_connection(url) as admin:
        # The role's own formats for dates and times must not matter.
        admin.execute("CREATE ROLE reader LOGIN; ALTER ROLE reader SET datestyle = 'SQL, DMY'; "
                      "ALTER ROLE reader SET timezone = 'Asia/Kathmandu'; "
                      "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        try:
            ledger = open_existing(url.replace("postgres@", "reader@"))
            assert ledger is not None
            assert ledger.observations(DAY) == [full()[0]]
            refused = refusal(lambda: ledger.append(observation("a"), (), (), ()), EvidenceNotStored)
            assert "grant the role SELECT and INSERT on orgrecon_observation, and UPDATE to redact a tenant" in refused
            not_created = refusal(lambda: open_ledger(empty.replace("postgres@", "reader@")), ConfigurationError)
            assert "grant the role USAGE and CREATE on the schema public" in not_created
            assert open_existing(empty.replace("postgres@", "reader@")) is None
            with raw_connection(empty) as other:
                other.execute('CREATE SCHEMA "new-ledger"; GRANT USAGE ON SCHEMA "new-ledger" TO PUBLIC')
                other.execute(f'ALTER DATABASE {other.info.dbname} SET search_path = "new-ledger"')
            not_created = refusal(lambda: open_ledger(empty.replace("postgres@", "reader@")), ConfigurationError)
            assert "grant the role USAGE and CREATE on the schema new-ledger" in not_created
        finally:
            admin.execute("DROP OWNED BY reader; DROP ROLE reader")


def test_evidence_that_row_level_security_hides_is_never_overlooked(empty_database: str) -> None:
    """A policy must not hide a FAIL from the gate."""
    open_ledger(empty_database).append(*full())
    with raw_connection(empty_database) as admin:
        admin.execute("CREATE ROLE filtered LOGIN; GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO filtered; "
                      "ALTER TABLE orgrecon_observation ENABLE ROW LEVEL SECURITY; "
                      "CREATE POLICY p ON orgrecon_observation USING (verdict <> 'FAIL')")
        try:
            ledger = open_existing(empty_database.replace("postgres@", "filtered@"))
            assert ledger is not None
            hidden = "row-level security hides rows of it from the role"
            assert hidden in refusal(lambda: ledger.observations(DAY), ConfigurationError)
            assert hidden in refusal(lambda: ledger.append(observation("a"), (), (), ()), EvidenceNotStored)
            admin.execute("ALTER ROLE filtered BYPASSRLS")
            assert ledger.observations(DAY) == [full()[0]]
        finally:
            admin.execute("DROP OWNED BY filtered; DROP ROLE filtered")


def test_database_that_is_not_utf8_is_refused(server: EmbeddedServer, empty_database: str) -> None:
    with raw_connection(empty_database) as admin:
        admin.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    try:
        assert "UTF8" in refusal(lambda: open_ledger(server.dsn("latin")), ConfigurationError)
    finally:
        server.drop_database("latin")


def test_stopped_server_is_reported(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="orgrecon-pg-") as directory:
        with EmbeddedServer(Path(directory)) as short_lived:
            ledger = open_ledger(short_lived.dsn())
            os.kill(short_lived.pid, signal.SIGQUIT)
        refusal(lambda: ledger.append(*full()), LedgerUnavailable)
        refusal(ledger.days, LedgerUnavailable)
        refusal(ledger.day_lock(DAY).__enter__, LedgerUnavailable)
