"""The context of an operation: mapping, ledger, output directory, clock and the endpoints to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orgrecon_pipeline.config.mapping_file import load_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.databases import UNSHARDED
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.ledger.open import open_ledger
from orgrecon_pipeline.operations.clock import Clock, read_clock
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints

SOURCE_VARIABLE = "DATABASE_URL"
TARGET_VARIABLE = "ORGRECON_TARGET_DATABASE_URL"


@dataclass(frozen=True)
class Context:
    """What every operation needs. ``environ`` holds the environment variables that contain the DSNs."""

    mapping: MappingConfig
    ledger: Ledger
    output_dir: Path
    clock: Clock = field(default_factory=Clock)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings) -> Context:
        """Load the mapping and open the ledger that ``settings`` name.

        Raises:
            ConfigurationError: if the mapping, the ledger or the injected clock cannot be used.
        """
        return cls(
            mapping=load_mapping(settings.mapping_file, settings.environ), ledger=open_ledger(settings.ledger_url),
            output_dir=settings.output_dir, clock=read_clock(settings.environ), environ=settings.environ)


def read_endpoints(mapping: MappingConfig, environ: Mapping[str, str]) -> dict[str, Endpoints]:
    """Return the endpoints of each shard by its name, or of :data:`UNSHARDED` if the mapping lists no shards.

    Raises:
        ConfigurationError: if a variable is not set or is not a Postgres URL, or if the target variable is set
            although the mapping lists shards. Ignoring it would compare less than the user asked for.
    """
    if not mapping.shards:
        source = _read_endpoint(environ, SOURCE_VARIABLE, "or use --baseline if there is no database yet")
        target = _read_endpoint(environ, TARGET_VARIABLE) if environ.get(TARGET_VARIABLE) else source
        return {UNSHARDED: Endpoints(source, target)}
    if environ.get(TARGET_VARIABLE):
        raise ConfigurationError(f"{TARGET_VARIABLE} is set, but the mapping lists shards, which name their own "
                                 "databases: unset the variable, or remove the shards.")
    return {
        shard.name: Endpoints(*(_read_endpoint(environ, variable, f"the database of shard {shard.name}")
                                for variable in (shard.source_env, shard.target_env)))
        for shard in mapping.shards
    }


def _read_endpoint(environ: Mapping[str, str], variable: str, hint: str = "") -> Endpoint:
    text = environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"{variable} is not set: set it to postgresql://user:password@host:5432/database, {hint}.")
    return Endpoint(Dsn.parse(text, variable), variable)
