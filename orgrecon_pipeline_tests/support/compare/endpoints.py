"""Where the databases of a test are."""

from __future__ import annotations

from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints


def one_database(dsn: str) -> Endpoints:
    """Both sides in one database."""
    return two_databases(dsn, dsn)


def two_databases(source: str, target: str) -> Endpoints:
    """Each side in its own."""
    return Endpoints(Endpoint(Dsn.parse(source, "DATABASE_URL"), "DATABASE_URL"),
                  Endpoint(Dsn.parse(target, "ORGRECON_TARGET_DATABASE_URL"), "ORGRECON_TARGET_DATABASE_URL"))
