"""What every operation works on."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.source.dsn import Dsn, Place, Places

SOURCE_VARIABLE = "DATABASE_URL"
TARGET_VARIABLE = "ORGRECON_TARGET_DATABASE_URL"

#: The name of the one shard of a mapping without shards.
ONLY = ""


@dataclass(frozen=True)
class Context:
    """Mapping, ledger, audit directory, clock, and the environment variables in which the DSNs are."""

    mapping: Mapping
    ledger: Ledger
    output_dir: Path
    clock: Clock = field(default_factory=Clock)
    environ: AnyMapping[str, str] = field(default_factory=dict, repr=False)

    def places(self) -> dict[str, Places]:
        """Where the sides are, by shard; :data:`ONLY` names the one of a mapping without shards.

        Raises:
            ConfigurationError: when an environment variable is not set, or is no Postgres URL.
        """
        return places_of(self.mapping, self.environ)


def places_of(mapping: Mapping, environ: AnyMapping[str, str]) -> dict[str, Places]:
    """Where the sides of a mapping are, by shard.

    Raises:
        ConfigurationError: when an environment variable is not set, or is no Postgres URL; or one is set that the
            mapping would leave unread: comparing a part and calling it the whole would be a false PASS.
    """
    if not mapping.shards:
        source = _place(environ, SOURCE_VARIABLE, "or use --baseline where there is no database yet.")
        target = _place(environ, TARGET_VARIABLE) if environ.get(TARGET_VARIABLE) else source
        return {ONLY: Places(source, target)}
    if environ.get(TARGET_VARIABLE):
        raise ConfigurationError(
            f"{TARGET_VARIABLE} is set, and the mapping has shards that name their own databases: unset it.")
    return {
        shard.name: Places(_place(environ, shard.source_env, f"the database of shard {shard.name}."),
                           _place(environ, shard.target_env, f"the database of shard {shard.name}."))
        for shard in mapping.shards
    }


def _place(environ: AnyMapping[str, str], variable: str, hint: str = "") -> Place:
    text = environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"{variable} is not set: set it to postgresql://user:password@host:5432/database, {hint}")
    return Place(Dsn.parse(text, variable), variable)
