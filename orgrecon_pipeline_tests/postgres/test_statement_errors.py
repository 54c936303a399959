"""Meanings of failed statements: each names cause and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.evidence import Verdict
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.operations.doctor import diagnose
from orgrecon_pipeline.postgres.errors import failed_statement, is_temporary
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import full, raised
from orgrecon_pipeline_tests.support.operations.site import READER, Site, open_site
from orgrecon_pipeline_tests.support.postgres.pgbouncer import pgbouncer


@pytest.fixture
def site(seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], tmp_path: Path) -> Site:
    """A site with twelve small tenants without drift."""
    return open_site(connect(seeded_database), seeded_database, tmp_path)


def test_pooler_in_statement_mode_is_named_and_in_transaction_mode_works(site: Site) -> None:
    message = ("the pooler (pgbouncer) runs in statement mode, which allows no transaction; set pool_mode = "
               "transaction, or connect to the server itself")
    direct = site.dsn
    with pgbouncer(direct, "statement") as site.dsn:
        undecided = site.observe()
        assert undecided.verdict is Verdict.INCONCLUSIVE
        assert message in undecided.reason
        assert any(message in finding.text for finding in diagnose(site.context).findings)
    with pgbouncer(direct, "transaction") as site.dsn:
        assert site.observe().verdict is Verdict.PASS


def test_ledger_behind_a_pooler_in_statement_mode_is_a_wrong_configuration(empty_database: str) -> None:
    with pgbouncer(empty_database, "statement") as url:
        error = raised(lambda: open_ledger(url))
        assert type(error) is ConfigurationError
        assert "runs in statement mode" in str(error)
    with pgbouncer(empty_database, "transaction") as url:
        ledger = open_ledger(url)
        assert ledger.append(*full()) is True
        with ledger.day_lock(full()[0].day):
            assert ledger.observations(full()[0].day) == [full()[0]]


def test_revoked_pg_control_system_names_the_grant_that_helps(site: Site) -> None:
    grant = "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO"
    site.run("REVOKE EXECUTE ON FUNCTION pg_catalog.pg_control_system() FROM PUBLIC")
    undecided = site.observe()
    assert undecided.verdict is Verdict.INCONCLUSIVE
    assert undecided.reason_code is ReasonCode.PERMISSION_DENIED
    assert undecided.reason.endswith(f"run {grant} the role.")
    [problem] = [finding.text for finding in diagnose(site.context).findings if finding.level == "problem"]
    assert grant in problem
    site.run(f"{grant} {READER}")
    assert site.observe().verdict is Verdict.PASS


@pytest.mark.parametrize(("state", "temporary"), [
    ("08006", True), ("25006", True), ("40001", True), ("40P01", True), ("53100", True), ("53300", True),
    ("55P03", True), ("57014", True), ("57P01", True), ("57P03", True), ("58030", True), ("28P01", True),
    ("22P02", False), ("23505", False), ("28000", False), ("3D000", False), ("42501", False), ("42P01", False),
    ("XX000", False),
])
def test_sqlstate_says_whether_a_failure_is_temporary(state: str, temporary: bool) -> None:
    assert is_temporary(state) is temporary


def test_session_that_ended_between_two_statements_has_the_server_s_last_words() -> None:
    for words, state in (("terminating connection due to administrator command", "57P01"),
                         ("terminating connection because of crash of another server process", "57P02"),
                         ("terminating connection due to idle-session timeout", "57P05")):
        assert failed_statement(psycopg.OperationalError(f"consuming input failed: {words}")).state == state
    lost = failed_statement(psycopg.OperationalError("the connection is closed"))
    assert (lost.state, lost.meaning, lost.temporary) == ("", "the connection was lost", True)
