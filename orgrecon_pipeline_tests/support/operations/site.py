"""Test site: a company database without drift, a read-only role, and a ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.default_identity import open_ledger
from orgrecon_pipeline_tests.support.ledger.cases import new_sqlite_ledger
from orgrecon_pipeline_tests.support.schemas import require_known_facts
from orgrecon_pipeline_tests.support.secret_canary import with_password

READER = "orgrecon_reader"
SHORT_TIMEOUTS = {"settle_seconds": 0.0, "rechecks": 1, "lock_timeout_seconds": 0.3, "statement_timeout_seconds": 20.0}


def fast_mapping(**scan: Any) -> MappingConfig:
    """Return the default mapping with short timeouts."""
    mapping = default_mapping()
    return mapping.model_copy(update={"scan": mapping.scan.model_copy(update={**SHORT_TIMEOUTS, **scan})})


@dataclass
class Site:
    """A company database with the DSN of a read-only role, a ledger and a mapping."""

    admin: psycopg.Connection[Any]
    dsn: str
    ledger: Ledger
    directory: Path
    mapping: MappingConfig = field(default_factory=fast_mapping)

    def run(self, *statements: str) -> None:
        """Run statements as a superuser."""
        for statement in statements:
            self.admin.execute(statement)

    @property
    def context(self) -> Context:
        """The context of an operation."""
        return Context(self.mapping, self.ledger, self.directory / "reports", environ={"DATABASE_URL": self.dsn})

    def observe(self, **how: Any) -> Observation:
        """Observe today. The facts of the comparison must be described in the schema of the record."""
        context = self.context
        observation = observe(context, context.clock.today(), **how).observation
        require_known_facts(json.loads(json.dumps(observation.compared)))
        return observation


def make_site(admin: psycopg.Connection[Any], dsn: str, directory: Path, *, tenants: int = 12) -> Site:
    """Fill the tables of a database with a small company without drift, and return a site over it."""
    seed(admin, tenants=tenants, users_per_tenant=8)
    return open_site(admin, dsn, directory)


def open_site(admin: psycopg.Connection[Any], dsn: str, directory: Path) -> Site:
    """Return a site over a database; grant SELECT on its tables to the read-only role."""
    admin.execute(
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    if admin.info.server_version >= 140_000:
        admin.execute(f"REVOKE pg_read_all_data FROM {READER}")  # an earlier test may have granted it: roles are global
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    reader_dsn = with_password({"": dsn.replace("postgresql://postgres@", f"postgresql://{READER}@")})[""]
    path = directory / "ledger.db"
    ledger = open_ledger(f"sqlite:///{path}") if path.exists() else new_sqlite_ledger(path)
    return Site(admin, reader_dsn, ledger, directory)
