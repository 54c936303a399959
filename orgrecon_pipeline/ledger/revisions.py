"""The revisions of the ledger's tables, known without importing Alembic."""

from __future__ import annotations

#: Oldest first; the last one is what this version reads and writes. A test holds them against the migrations.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]

#: What only reads (gate, exporter) is content with each of these: none after the first added anything that it looks
#: at, and a ledger that the next report migrates must not look like one that is down until then.
READABLE = REVISIONS

#: Not Alembic's usual name: Dagster's storage, which may share the database, uses that one.
VERSION_TABLE = "orgrecon_ledger_version"
