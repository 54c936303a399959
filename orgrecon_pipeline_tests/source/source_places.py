"""Where the databases of a test are."""

from __future__ import annotations

from orgrecon_pipeline.source.dsn import Dsn, Place, Places


def one_database(dsn: str) -> Places:
    """Both sides in one database."""
    return two_databases(dsn, dsn)


def two_databases(source: str, target: str) -> Places:
    """Each side in its own."""
    return Places(Place(Dsn.parse(source, "DATABASE_URL"), "DATABASE_URL"),
                  Place(Dsn.parse(target, "ORGRECON_TARGET_DATABASE_URL"), "ORGRECON_TARGET_DATABASE_URL"))
