"""The context of an operation: mapping, ledger, output directory, clock and the endpoints to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.operations.clock import Clock, read_clock
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints

if TYPE_CHECKING:
    from orgrecon_pipeline.ledger.ledger import Ledger

SOURCE_VARIABLE = "DATABASE_URL"
TARGET_VARIABLE = "ORGRECON_TARGET_DATABASE_URL"


@dataclass(frozen=True)
class Context:
    """What every operation needs. ``environ`` holds the environment variables that contain the DSNs.

    ``source_variable`` and ``target_variable`` are the names of those for a mapping without shards.
    """

    mapping: MappingConfig
    ledger: Ledger
    output_dir: Path
    clock: Clock = field(default_factory=Clock)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    source_variable: str = SOURCE_VARIABLE
    target_variable: str = TARGET_VARIABLE

    @classmethod
    def from_settings(cls, settings: Settings, mapping: MappingConfig | None = None) -> Context:
        """Open the ledger that ``settings`` name, for the mapping that they name or another one.

        Raises:
            ConfigurationError: if the mapping, the ledger or the injected clock cannot be used.
        """
        from orgrecon_pipeline.operations.own_ledger import own_ledger  # slow to import, and diff needs no ledger

        mapping = mapping or settings.mapping
        return cls(
            mapping=mapping, ledger=own_ledger(settings, mapping), output_dir=settings.output_dir,
            clock=read_clock(settings.environ), environ=settings.environ)

    def endpoints(self) -> dict[str, Endpoints]:
        """Return the endpoints of each shard by its name; see :func:`read_endpoints`."""
        return read_endpoints(self.mapping, self.environ, self.source_variable, self.target_variable)


def read_endpoints(
    mapping: MappingConfig, environ: Mapping[str, str], source: str = SOURCE_VARIABLE, target: str = TARGET_VARIABLE,
    hint: str = ""
) -> dict[str, Endpoints]:
    """Return the endpoints of each shard by its name, or of :data:`UNSHARDED` if the mapping lists no shards.

    ``source`` and ``target`` name the variables of a mapping without shards; for ``hint`` see :func:`read_one_pair`.

    Raises:
        ConfigurationError: if a variable is not set or is not a Postgres URL, or if the target variable is set
            although the mapping lists shards. Ignoring it would compare less than the user asked for.
    """
    if not mapping.shards:
        return {UNSHARDED: read_one_pair(environ, source, target, hint)}
    if environ.get(target):
        raise ConfigurationError(f"{target} is set, but the mapping lists shards, which name their own "
                                 "databases: unset the variable, or remove the shards.")
    return {
        shard.name: Endpoints(*(read_endpoint(environ, variable, f"the database of shard {shard.name}")
                                for variable in (shard.source_env, shard.target_env)))
        for shard in mapping.shards
    }


def read_one_pair(
    environ: Mapping[str, str], source: str = SOURCE_VARIABLE, target: str = TARGET_VARIABLE, hint: str = ""
) -> Endpoints:
    """Return the endpoints that two variables name; without the second one, both sides are in one database.

    Raises:
        ConfigurationError: if the first variable is not set, or one is not a Postgres URL. ``hint`` says what else the
            user can do.
    """
    endpoint = read_endpoint(environ, source, hint)
    return Endpoints(endpoint, read_endpoint(environ, target) if environ.get(target) else endpoint)


def read_endpoint(environ: Mapping[str, str], variable: str, hint: str = "") -> Endpoint:
    """Return the endpoint that a variable names; for ``hint`` and the errors see :func:`read_one_pair`."""
    text = environ.get(variable)
    if not text:
        alternative = f", {hint}" if hint else ""
        raise ConfigurationError(
            f"{variable} is not set: set it to postgresql://user:password@host:5432/database{alternative}.")
    return Endpoint(Dsn.parse(text, variable), variable)
