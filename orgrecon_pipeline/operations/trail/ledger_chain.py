"""Verification of a ledger: its hash chain, the links that reports name, and the observations that they show."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from orgrecon_pipeline.domain.errors import UnsoundTrail
from orgrecon_pipeline.domain.integrity.chain import ChainHead, imported_links
from orgrecon_pipeline.domain.record import instant_text
from orgrecon_pipeline.ledger.chain.redaction import Redaction
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.trail.reported_evidence import contradictions
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
        redactions: the redactions, in the order of their links.
        findings: what is wrong, one sentence each: those of the chain in its order, then those of the reports.
    """

    ledger: str
    links: int
    head: ChainHead | None
    reports: int
    redactions: tuple[Redaction, ...]
    findings: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return {"sound": self.sound, "ledger": self.ledger, "links": self.links,
                "head": self.head and self.head.model_dump(), "reports": self.reports,
                "redactions": [{"position": redaction.position, "pseudonym": redaction.pseudonym,
                                "reason": redaction.reason, "recorded_at": instant_text(redaction.recorded_at),
                                "links": redaction.links} for redaction in self.redactions],
                "findings": list(self.findings)}


def verify_ledger(ledger: Ledger, directory: Path) -> LedgerVerification:
    """Check the hash chain of a ledger, and that it made the observations that the reports in ``directory`` show.

    The chain alone cannot show that its last links were removed, or that all links were written again. Reports that
    were committed before show both. Unsound reports are skipped; ``orgrecon verify`` without ``--ledger`` finds them.
    """
    named = _observations_in_reports(directory, ledger)  # before the links, because a run stores its evidence first
    links = ledger.links()
    known, imported = {link.position: link.hash for link in links}, imported_links(links)
    findings = list(ledger.chain_breaks())
    for name, of_report in named.items():
        lost = [
            f"{name} names link {head.position} ({head.hash[:12]}…) of this ledger, which has "
            f"{'another' if head.position in known else 'no'} link {head.position}: the ledger was written again, or "
            f"restored from an older backup; if it was restored, run orgrecon import {shown(directory)}."
            for id_, head in of_report.links
            if id_ == ledger.id and known.get(head.position) != head.hash and (id_, head) not in imported]
        findings += lost or of_report.contradictions
    return LedgerVerification(
        ledger.id, len(links), links[-1].head if links else None, len(named), tuple(ledger.redactions()),
        tuple(findings))


class _Reported(NamedTuple):
    """What a report shows: links, each with the id of its ledger, and contradictions to the ledger at hand."""

    links: list[tuple[str | None, ChainHead]]
    contradictions: list[str]


def _observations_in_reports(directory: Path, ledger: Ledger) -> dict[str, _Reported]:
    """Return what each report shows, by its file name, without reports that show only sound baselines."""
    reported = {}
    for day, path in report_files(directory):
        with contextlib.suppress(UnsoundTrail):
            record = read_report(path, ledger.identity)
            links = [(row.ledger, row.chain) for row in record.observations if row.chain]
            wrong = list(contradictions(path.name, record.to_observations(), ledger.observations(day)))
            if links or wrong:
                reported[path.name] = _Reported(links, wrong)
    return reported
