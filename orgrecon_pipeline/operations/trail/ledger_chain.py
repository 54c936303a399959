"""Verification of a ledger: its hash chain, and the links that reports name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orgrecon_pipeline.domain.chain import ChainHead
from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.report.file_names import shown
from orgrecon_pipeline.report.read import read_report
from orgrecon_pipeline.report.verify import report_files


@dataclass(frozen=True)
class LedgerVerification:
    """The result of :func:`verify_ledger`.

    Attributes:
        ledger: the id of the ledger.
        links: number of links of its chain.
        head: the last link; None without links.
        reports: number of reports whose links were looked up in the chain.
        findings: what is wrong, one sentence each: those of the chain in its order, then those of the reports.
    """

    ledger: str
    links: int
    head: ChainHead | None
    reports: int
    findings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"sound": self.sound, "ledger": self.ledger, "links": self.links,
                "head": self.head and self.head.model_dump(), "reports": self.reports, "findings": list(self.findings)}


def verify_ledger(ledger: Ledger, directory: Path) -> LedgerVerification:
    """Check the hash chain of a ledger, and that it has the links that the reports in ``directory`` name.

    The chain alone cannot show that its last links were removed, or that all links were written again. Reports that
    were committed before show both. Unsound reports are skipped; ``orgrecon verify`` without ``--ledger`` finds them.
    """
    findings = list(ledger.chain_breaks())
    reports = 0
    known = {(ledger.id, link.position): link.hash for link in ledger.links()}
    imported = {(id_, head) for id_, head in ledger.imported_heads()}
    for _, path in report_files(directory):
        try:
            named = list(_links_in(path, ledger))
        except UnsoundTrail:
            continue
        reports += bool(named)
        findings += [
            f"{path.name} names link {head.position} ({head.hash[:12]}…) of this ledger, which has "
            f"{'another' if (id_, head.position) in known else 'no'} link {head.position}: the ledger was written "
            "again, or restored from an older backup; if it was restored, run orgrecon import "
            f"{shown(directory)}."
            for id_, head in named
            if id_ == ledger.id and known.get((id_, head.position)) != head.hash and (id_, head) not in imported]
    return LedgerVerification(ledger.id, len(known), ledger.head(), reports, tuple(findings))


def _links_in(path: Path, ledger: Ledger) -> Iterator[tuple[str | None, ChainHead]]:
    """Yield the links that a report names, each with the id of its ledger."""
    for row in read_report(path, ledger.identity).observations:
        if row.chain:
            yield row.ledger, row.chain
