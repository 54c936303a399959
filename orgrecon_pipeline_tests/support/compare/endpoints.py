"""Endpoints of test databases."""

from __future__ import annotations

from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints


def one_database(dsn: str) -> Endpoints:
    """Return endpoints with both sides in one database."""
    return two_databases(dsn, dsn)


def two_databases(source: str, target: str) -> Endpoints:
    """Return endpoints with one database per side."""
    return Endpoints(*(Endpoint(Dsn.parse(dsn, variable), variable) for dsn, variable in (
        (source, "DATABASE_URL"), (target, "ORGRECON_TARGET_DATABASE_URL"))))
