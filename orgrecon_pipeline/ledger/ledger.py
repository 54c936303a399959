"""The ledger: the append-only database of evidence."""

from __future__ import annotations

from dataclasses import replace

from orgrecon_pipeline.ledger.chain.redaction import RedactionStore
from orgrecon_pipeline.ledger.connection.engine import Past
from orgrecon_pipeline.ledger.locks import LedgerLocks
from orgrecon_pipeline.ledger.statements.append import LedgerWriter
from orgrecon_pipeline.ledger.statements.coverage import CoverageReader
from orgrecon_pipeline.ledger.statements.keys import KeyReader
from orgrecon_pipeline.ledger.statements.read import LedgerReader


class Ledger(LedgerReader, CoverageReader, KeyReader, LedgerWriter, RedactionStore, LedgerLocks):
    """Append-only evidence in SQLite or Postgres; opened by :mod:`orgrecon_pipeline.ledger.open`.

    Each base class holds the methods of one job. Methods raise :class:`LedgerUnavailable` if the database does not
    answer and the retries are used up (see :class:`RetryBudget`). If the database refuses a call, methods that read
    raise :class:`ConfigurationError`, and methods that write raise :class:`EvidenceNotStored`. Threads and processes
    may share a ledger. Text is ordered by its UTF-8 bytes.
    """

    def at(self, past: Past) -> Ledger:
        """Return the ledger as it was at an earlier time, for reading. Only its observations are restricted."""
        return replace(self, past=past)
