"""What the environment says, read once at the edge and passed on as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_LEDGER_URL = "sqlite:///.orgrecon/ledger.db"
DEFAULT_OUTPUT_DIR = "docs/runbooks/org-v23-reconciliation-reports"


@dataclass(frozen=True)
class Settings:
    """Where things are. Fields that can hold a password are left out of the ``repr``.

    ``mapping_file`` is None when the usual places are to be searched; ``databases`` maps names of environment
    variables to DSNs (``DATABASE_URL``, ``ORGRECON_TARGET_DATABASE_URL``, and those that shards name).
    """

    mapping_file: str | None
    output_dir: Path
    ledger_url: str = field(repr=False)
    environ: Mapping[str, str] = field(repr=False)

    def as_environ(self) -> dict[str, str]:
        """The environment with these settings in it: what a Dagster run in this process is built from."""
        named = {"ORGRECON_OUTPUT_DIR": str(self.output_dir)}
        if self.mapping_file:
            named["ORGRECON_MAPPING"] = self.mapping_file
        return {**self.environ, **named}


def read_settings(
    environ: Mapping[str, str], *, mapping_file: str | None = None, output_dir: str | None = None
) -> Settings:
    """The settings of the environment, with what the command line says in front of it."""
    return Settings(
        mapping_file=mapping_file or environ.get("ORGRECON_MAPPING") or None,
        output_dir=Path(output_dir or environ.get("ORGRECON_OUTPUT_DIR") or DEFAULT_OUTPUT_DIR),
        ledger_url=environ.get("ORGRECON_LEDGER_URL") or DEFAULT_LEDGER_URL,
        environ=environ,
    )
