"""Base backups with archived WAL, and servers that recover from them, as the runbook does it."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg

from orgrecon_pipeline.demo.postgres_binaries import find_binaries
from orgrecon_pipeline_tests.support.operations.concurrency import wait_until
from orgrecon_pipeline_tests.support.operations.postgres_server import PostgresServer, postgres_server


def archiving_server(stack: ExitStack) -> PostgresServer:
    """Return a running server that archives its WAL."""
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


def recovered_server(stack: ExitStack, primary: PostgresServer, **target: str) -> PostgresServer:
    """Return a server whose recovery from the primary's base backup pauses at a target."""
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
