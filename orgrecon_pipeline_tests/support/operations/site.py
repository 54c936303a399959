"""A company that both models hold alike, a role that can only read it, a ledger, and a clock that is the server's."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orgrecon_pipeline.config.mapping_file import default_mapping
from orgrecon_pipeline.demo.company import seed
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.observe.observe import observe
from orgrecon_pipeline_tests.support.secret_canary import with_password

READER = "orgrecon_reader"
QUICK = {"settle_seconds": 0.0, "rechecks": 1, "lock_timeout_seconds": 0.3, "statement_timeout_seconds": 20.0}


def quick(**scan: Any) -> MappingConfig:
    """The default mapping, impatient."""
    mapping = default_mapping()
    return mapping.model_copy(update={"scan": mapping.scan.model_copy(update={**QUICK, **scan})})


@dataclass
class Site:
    """One company, one ledger, one observer."""

    admin: psycopg.Connection[Any]
    dsn: str
    ledger: Ledger
    directory: Path
    mapping: MappingConfig = field(default_factory=quick)

    def run(self, *statements: str) -> None:
        """Run statements as superuser."""
        for statement in statements:
            self.admin.execute(statement)

    @property
    def context(self) -> Context:
        """What operations work on."""
        return Context(self.mapping, self.ledger, self.directory / "reports", environ={"DATABASE_URL": self.dsn})

    def observe(self, **how: Any) -> Observation:
        """Observe today, by whatever day it is on both clocks."""
        context = self.context
        return observe(context, context.clock.today(), **how).observation


def site_of(admin: psycopg.Connection[Any], dsn: str, place: Path, *, tenants: int = 12) -> Site:
    """A company of few people without drift in a database that has the tables, and a role that can only read it."""
    seed(admin, tenants=tenants, users_per_tenant=8)
    admin.execute(
        f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    admin.execute(f"REVOKE pg_read_all_data FROM {READER}")  # the role is the cluster's, and outlives a test
    admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
    reading = with_password({"": dsn.replace("postgresql://postgres@", f"postgresql://{READER}@")})[""]
    return Site(admin, reading, open_ledger(f"sqlite:///{place / 'ledger.db'}"), place)
