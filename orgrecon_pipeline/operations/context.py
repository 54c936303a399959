"""What every operation works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping import MappingConfig
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.postgres.dsn import Dsn, Endpoint, Endpoints

SOURCE_VARIABLE = "DATABASE_URL"
TARGET_VARIABLE = "ORGRECON_TARGET_DATABASE_URL"

#: The name of the one shard of a mapping without shards.
ONLY = ""


@dataclass(frozen=True)
class Context:
    """MappingConfig, ledger, audit directory, clock, and the environment variables in which the DSNs are."""

    mapping: MappingConfig
    ledger: Ledger
    output_dir: Path
    clock: Clock = field(default_factory=Clock)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def endpoints(self) -> dict[str, Endpoints]:
        """Where the sides are, by shard; :data:`ONLY` names the one of a mapping without shards.

        Raises:
            ConfigurationError: when an environment variable is not set, or is no Postgres URL.
        """
        return endpoints_of(self.mapping, self.environ)


def endpoints_of(mapping: MappingConfig, environ: Mapping[str, str]) -> dict[str, Endpoints]:
    """Where the sides of a mapping are, by shard.

    Raises:
        ConfigurationError: when an environment variable is not set, or is no Postgres URL; or one is set that the
            mapping would leave unread: comparing a part and calling it the whole would be a false PASS.
    """
    if not mapping.shards:
        source = _place(environ, SOURCE_VARIABLE, "or use --baseline where there is no database yet.")
        target = _place(environ, TARGET_VARIABLE) if environ.get(TARGET_VARIABLE) else source
        return {ONLY: Endpoints(source, target)}
    if environ.get(TARGET_VARIABLE):
        raise ConfigurationError(
            f"{TARGET_VARIABLE} is set, and the mapping has shards that name their own databases: unset it.")
    return {
        shard.name: Endpoints(_place(environ, shard.source_env, f"the database of shard {shard.name}."),
                           _place(environ, shard.target_env, f"the database of shard {shard.name}."))
        for shard in mapping.shards
    }


def _place(environ: Mapping[str, str], variable: str, hint: str = "") -> Endpoint:
    text = environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"{variable} is not set: set it to postgresql://user:password@host:5432/database, {hint}")
    return Endpoint(Dsn.parse(text, variable), variable)
