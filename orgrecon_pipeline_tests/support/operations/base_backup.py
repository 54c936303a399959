"""Base backups with archived WAL, and servers that recover from them, as the runbook does it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server
from orgrecon_pipeline_tests.support.operations.site import READER, Site, make_site


def archived_site(stack: ExitStack, template_sql: str, directory: Path, **company: int) -> tuple[PostgresServer, Site]:
    """Return a running server that archives its WAL, and a company on it."""
    server = _archiving_server(stack)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        admin.execute("CREATE DATABASE orgs")
    admin = stack.enter_context(closing(psycopg.connect(server.dsn("orgs"), autocommit=True)))
    admin.execute(template_sql)
    admin.execute("SET synchronous_commit = on")
    return server, make_site(admin, server.dsn("orgs", "postgres"), directory, **company)


def recovered_site(
    stack: ExitStack, primary: PostgresServer, site: Site, **target: str
) -> tuple[PostgresServer, Site]:
    """Return a server whose recovery from the primary's base backup pauses at a target, and a site that reads it."""
    server = _recovered_server(stack, primary, **target)
    return server, replace(site, dsn=server.dsn("orgs", READER))


def _archiving_server(stack: ExitStack) -> PostgresServer:
    server = stack.enter_context(postgres_server(find_binaries()))
    server.initialise()
    server.run("mkdir", str(server.directory / "archive"))
    server.start(archive_mode="on", archive_command="cp %p ../archive/%f")
    return server


def take_base_backup(server: PostgresServer) -> None:
    """Take a base backup without WAL."""
    server.run("pg_basebackup", "-h", str(server.directory), "-U", "postgres", "-D", str(server.directory / "backup"),
               "-X", "none", "-c", "fast", "--no-sync")


def archive_wal(server: PostgresServer, admin: psycopg.Connection[Any]) -> None:
    """Archive all WAL, and return when it is archived."""
    [(segment,)] = admin.execute("SELECT pg_walfile_name(pg_switch_wal())")
    wait_until((server.directory / "archive" / segment).exists)


def _recovered_server(stack: ExitStack, primary: PostgresServer, **target: str) -> PostgresServer:
    server = stack.enter_context(postgres_server(find_binaries()))
    server.run("cp", "-a", str(primary.directory / "backup"), str(server.data))
    server.run("touch", str(server.data / "recovery.signal"))
    server.start(restore_command=f"cp {primary.directory}/archive/%f %p", recovery_target_action="pause",
                 archive_mode="off", **target)
    with psycopg.connect(server.dsn(), autocommit=True) as admin:
        wait_until(lambda: admin.execute("SELECT pg_get_wal_replay_pause_state() = 'paused'").fetchone() == (True,))
    return server


def promote(admin: psycopg.Connection[Any]) -> None:
    """End the recovery of a paused server, which promotes it."""
    admin.execute("SELECT pg_wal_replay_resume()")
    wait_until(lambda: admin.execute("SELECT NOT pg_is_in_recovery()").fetchone() == (True,))
