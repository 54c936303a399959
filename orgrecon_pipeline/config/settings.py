"""Settings from environment variables and options, read once and passed on as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.identity import validate_environment

if TYPE_CHECKING:
    from orgrecon_pipeline.domain.identity import Identity
    from orgrecon_pipeline.domain.mapping.model import MappingConfig

#: Names the environment of all evidence, such as ``prod``. An empty value is the environment without a name.
ENVIRONMENT_VARIABLE = "ORGRECON_ENVIRONMENT"

DEFAULT_LEDGER_URL = "sqlite:///.orgrecon/ledger.db"
DEFAULT_OUTPUT_DIR = "docs/runbooks/org-v23-reconciliation-reports"


@dataclass(frozen=True)
class Settings:
    """Settings of a command or a Dagster run. Fields that can hold a password are left out of the ``repr``.

    Without a ``mapping_file``, the mapping is searched for. ``environment`` is the name of the environment, empty
    without one; ``environment_named`` says whether it was set, even to the empty name. ``environ`` holds the DSNs of
    the compared databases, among others.
    """

    mapping_file: str | None
    environment: str
    environment_named: bool
    output_dir: Path
    ledger_url: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    @cached_property
    def mapping(self) -> MappingConfig:
        """The mapping, read once; a copy of the settings reads it again. For the errors see :func:`load_mapping`."""
        from orgrecon_pipeline.config.mapping_file import load_mapping  # slow to import, and some commands need none

        return load_mapping(self.mapping_file, self.environ)

    @property
    def identity(self) -> Identity:
        """The identity that the mapping and the environment name."""
        return self.mapping.identity(self.environment)

    def as_environ(self) -> dict[str, str]:
        """Return the environment with these settings in it, for a Dagster run in this process."""
        overrides = {"ORGRECON_OUTPUT_DIR": str(self.output_dir)}
        if self.mapping_file:
            overrides["ORGRECON_MAPPING"] = self.mapping_file
        return {**self.environ, **overrides}


def read_settings(
    environ: Mapping[str, str], *, mapping_file: str | None = None, output_dir: str | None = None
) -> Settings:
    """Return the settings in ``environ``. The arguments, which come from the command line, take precedence.

    Raises:
        ConfigurationError: if the name of the environment is not valid.
    """
    return Settings(
        environment=_read_environment(environ),
        environment_named=ENVIRONMENT_VARIABLE in environ,
        mapping_file=mapping_file or environ.get("ORGRECON_MAPPING") or None,
        output_dir=Path(output_dir or environ.get("ORGRECON_OUTPUT_DIR") or DEFAULT_OUTPUT_DIR),
        ledger_url=environ.get("ORGRECON_LEDGER_URL") or DEFAULT_LEDGER_URL,
        environ=environ,
    )


def _read_environment(environ: Mapping[str, str]) -> str:
    name = environ.get(ENVIRONMENT_VARIABLE, "")
    try:
        return validate_environment(name)
    except ValueError as invalid:
        raise ConfigurationError(f"{ENVIRONMENT_VARIABLE}: {invalid}.") from None
