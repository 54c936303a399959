"""What every operation works on."""

from __future__ import annotations

from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from pathlib import Path

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping import Mapping
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.clock import Clock
from orgrecon_pipeline.source.dsn import Dsn

SOURCE_VARIABLE = "DATABASE_URL"
TARGET_VARIABLE = "ORGRECON_TARGET_DATABASE_URL"


@dataclass(frozen=True)
class Context:
    """Mapping, ledger, audit directory, clock, and the environment variables in which the DSNs are."""

    mapping: Mapping
    ledger: Ledger
    output_dir: Path
    clock: Clock = field(default_factory=Clock)
    environ: AnyMapping[str, str] = field(default_factory=dict, repr=False)

    def dsn(self, variable: str = SOURCE_VARIABLE) -> Dsn:
        """The database of an environment variable.

        Raises:
            ConfigurationError: when it is not set, or is no Postgres URL, or is not all that is to be compared.
        """
        return one_database(self.mapping, self.environ, variable)


def one_database(mapping: Mapping, environ: AnyMapping[str, str], variable: str = SOURCE_VARIABLE) -> Dsn:
    """The database that holds both models.

    Raises:
        ConfigurationError: when the environment names none, or when there are more: comparing a part and calling it
            the whole would be a false PASS.
    """
    if environ.get(TARGET_VARIABLE):
        raise ConfigurationError(f"{TARGET_VARIABLE} is set, but two databases cannot be compared yet: unset it.")
    if mapping.shards:
        raise ConfigurationError("the mapping names shards, but several databases cannot be compared yet: remove them.")
    text = environ.get(variable)
    if not text:
        raise ConfigurationError(
            f"{variable} is not set: set it to postgresql://user:password@host:5432/database, "
            "or use --baseline where there is no database yet."
        )
    return Dsn.parse(text, variable)
