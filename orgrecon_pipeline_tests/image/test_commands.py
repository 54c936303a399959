"""Tests that run the image with the restrictions of the manifests: read-only root, no capabilities, any user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.version import __version__
from orgrecon_pipeline_tests.support.image.engine import options, podman
from orgrecon_pipeline_tests.support.image.servers import Databases
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until

pytestmark = pytest.mark.image

# The user of the image, and one of group 0 that the image does not know, as OpenShift chooses it.
USERS = ("10001:10001", "54321:0")
REPORTS = "/var/lib/orgrecon/reports"
Owner = psycopg.Connection[Any]


def lose_a_membership(owner: Owner) -> None:
    owner.execute("DELETE FROM public.org_unit_memberships WHERE ctid IN "
                  "(SELECT ctid FROM public.org_unit_memberships LIMIT 1)")


def lose_a_table(owner: Owner) -> None:
    owner.execute("DROP TABLE public.org_unit_memberships")


def nothing(_owner: Owner) -> None:
    pass


@pytest.mark.parametrize("user", USERS)
def test_baseline_is_written_to_the_volume_by_any_user(image: str, volume: str, user: str) -> None:
    ledger = {"ORGRECON_LEDGER_URL": "sqlite:////var/lib/orgrecon/ledger.db"}
    run = ("run", "--rm", "--no-healthcheck", *options(volume, ledger, user, network="none"), image)
    assert podman(*run, "orgrecon", "--version").stdout.strip() == __version__
    podman(*run, "orgrecon", "report", "--baseline")
    listed = podman(*run, "sh", "-c", f"cat {REPORTS}/2*.md")
    assert "| PASS |" in listed.stdout


def test_root_file_system_is_read_only(image: str, volume: str) -> None:
    for path in ("/opt/orgrecon/.venv/new", "/etc/new", "/new"):
        done = podman("run", "--rm", "--no-healthcheck", *options(volume, {}, USERS[1], network="none"), image,
                      "touch", path, check=False)
        assert done.returncode == 1
        assert "Read-only file system" in done.stderr


@pytest.mark.parametrize(("happens", "arguments", "code", "shown"), [
    (nothing, (), 0, "| PASS |"),
    (lose_a_membership, (), 1, "| FAIL |"),
    (lose_a_table, (), 3, "INCONCLUSIVE"),
    (nothing, ("--date", "2020-01-01"), 2, ""),
    (nothing, ("--mapping", "/missing.yaml"), 2, ""),
])
def test_live_report_exits_with_its_verdict(
    image: str, volume: str, databases: Databases, happens: Callable[[Owner], None], arguments: tuple[str, ...],
    code: int, shown: str,
) -> None:
    happens(databases.owner)
    variables = {"DATABASE_URL": databases.source, "ORGRECON_LEDGER_URL": databases.ledger}
    run = ("run", "--rm", "--no-healthcheck", *options(volume, variables, USERS[1]), image)
    done = podman(*run, "orgrecon", "report", "--exact", *arguments, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    written = podman(*run, "sh", "-c", f"cat {REPORTS}/2*.md", check=False)
    assert shown in written.stdout
    assert bool(written.stdout) is bool(shown)


def test_terminated_report_cancels_its_statement_and_exits_143(
    image: str, volume: str, databases: Databases,
) -> None:
    variables = {"DATABASE_URL": databases.source, "ORGRECON_LEDGER_URL": databases.ledger}
    waiting = ("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    with psycopg.connect(databases.source) as blocker:
        blocker.execute("LOCK TABLE public.teams IN ACCESS EXCLUSIVE MODE")
        container = podman("run", "--detach", "--no-healthcheck", *options(volume, variables, USERS[1]), image,
                           "orgrecon", "report").stdout.strip()
        try:
            wait_until(lambda: databases.owner.execute(waiting).fetchone() == (1,))
            podman("stop", "--time=30", container)
            assert podman("wait", container).stdout.strip() == "143"
        finally:
            podman("rm", "--force", container)
        wait_until(lambda: databases.owner.execute(waiting).fetchone() == (0,))
    assert podman("run", "--rm", "--no-healthcheck", *options(volume, {}, USERS[1]), image, "ls", REPORTS).stdout == ""


def test_exporter_is_healthy_until_it_is_stopped(image: str, volume: str) -> None:
    ledger = {"ORGRECON_LEDGER_URL": "sqlite:////var/lib/orgrecon/ledger.db"}
    container = podman("run", "--detach", *options(volume, ledger, USERS[1], network="none"), image, "orgrecon",
                       "exporter", "--port", "9464").stdout.strip()
    try:
        wait_until(lambda: podman("healthcheck", "run", container, check=False).returncode == 0)
        podman("stop", "--time=30", container)
        assert podman("wait", container).stdout.strip() in ("0", "143")
    finally:
        podman("rm", "--force", container)
