"""The same metrics as a file, for the textfile collector of node_exporter."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import write_to_textfile

from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.metrics.collector import EvidenceCollector, registry_of


def write_textfile(path: Path, collector: EvidenceCollector) -> None:
    """Replace ``path`` by the metrics of this moment, whole or not at all.

    A ledger that does not answer is written too, as ``orgrecon_ledger_up 0``: a file that is merely old would
    look as if nothing had changed.

    Raises:
        ConfigurationError: when the file cannot be written.
    """
    try:
        write_to_textfile(str(path), registry_of(collector))
    except OSError as error:
        raise ConfigurationError(
            f"{path}: metrics cannot be written ({error.strerror}): check --textfile and its directory."
        ) from None
