"""Commands while the ledger does not answer: exit code 3 and one line; ``report`` waits for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import run, run_cases, start
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.postgres.cutting_proxy import cutting_proxy

AWAY = "postgresql://u@127.0.0.1:1/ledger"
COMMANDS = (
    ("gate",), ("gate", "--by-tenant"), ("history",), ("drift",), ("render", "2026-03-02"), ("import", "reports"),
    ("acknowledge", "--reason", "meant to be so"), ("accept-source", "--reason", "meant to be so"),
    ("accept-ledger", "--reason", "meant to be so"), ("repair-sql",),
    ("redact", "--tenant", "a", "--reason", "meant to be so"),
)


@pytest.fixture(autouse=True)
def mapping(tmp_path: Path) -> None:
    """A mapping whose comparisons end soon."""
    write_mapping(tmp_path / "orgrecon.yaml", scan={"settle_seconds": 0, "rechecks": 0})
    (tmp_path / "reports").mkdir()


def test_every_command_that_reads_the_ledger_exits_3_with_one_line(tmp_path: Path, seeded_database: str) -> None:
    environ = {"DATABASE_URL": seeded_database, "ORGRECON_LEDGER_URL": AWAY}
    cases = [{"arguments": [*command], "environ": environ} for command in COMMANDS]
    for command, result in zip(COMMANDS, run_cases(tmp_path, cases), strict=True):
        assert (result.code, result.out) == (3, ""), (command, result)
        assert result.err == (
            "orgrecon: cannot open the Postgres ledger: no server is listening on that host and port: start it, or "
            "correct the URL.\n"), command


def test_wrong_configuration_of_the_ledger_is_exit_2(tmp_path: Path, seeded_database: str) -> None:
    wrong = {
        "the database does not exist": seeded_database.replace("/test_", "/nothing_"),
        "schema is not a parameter of libpq: remove it": f"{seeded_database}&schema=public",
        "sslmod is not a parameter of libpq: write sslmode": f"{seeded_database}&sslmod=require",
        "is not a ledger URL": "mysql://u@host/ledger",
    }
    cases = [{"arguments": [command], "environ": {"DATABASE_URL": seeded_database, "ORGRECON_LEDGER_URL": url}}
             for url in wrong.values() for command in ("gate", "report")]
    for message, result in zip([m for m in wrong for _ in range(2)], run_cases(tmp_path, cases), strict=True):
        assert (result.code, result.err.count("\n")) == (2, 1), result
        assert message in result.err


def test_report_waits_for_the_ledger(
    tmp_path: Path, seeded_database: str, new_database: Callable[..., str], ledger_template: str
) -> None:
    with cutting_proxy(new_database(ledger_template)) as proxy:
        proxy.down()
        process = start(tmp_path, "report", "--output-dir", "reports", DATABASE_URL=seeded_database,
                        ORGRECON_LEDGER_URL=proxy.url)
        assert process.stderr is not None
        assert process.stderr.readline() == (
            "orgrecon: cannot open the Postgres ledger: no server is listening on that host and port: start it, or "
            "correct the URL; trying again for up to 3600 s.\n")
        proxy.up()
        out, err = process.communicate(timeout=120)
        assert (process.returncode, err.count("\n")) == (0, 1), (out, err)
        assert err.startswith("orgrecon: the ledger answers again after ")
        assert len(open_ledger(proxy.url).days()) == 1


def test_report_gives_up_after_the_deadline(tmp_path: Path, seeded_database: str) -> None:
    write_mapping(tmp_path / "orgrecon.yaml", scan={"deadline_seconds": 0.2})
    result = run(tmp_path, "report", "--output-dir", "reports", DATABASE_URL=seeded_database, ORGRECON_LEDGER_URL=AWAY)
    begin, end = result.err.splitlines()
    assert (result.code, result.out) == (3, "")
    assert begin.endswith("; trying again for up to 0 s.")
    assert end.endswith("; gave up after 0.2 s (scan.deadline_seconds).")
