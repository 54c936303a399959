"""From the ledger's evidence to the record of a day, and to its file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from orgrecon_pipeline.domain.day_decision import deciding_observation
from orgrecon_pipeline.domain.errors import DayRefused, UnsoundTrail
from orgrecon_pipeline.domain.evidence import Observation
from orgrecon_pipeline.domain.gate import GateDecision, decide_gate
from orgrecon_pipeline.domain.mapping import GatePolicy, ReportSettings
from orgrecon_pipeline.domain.record import Record, build_record
from orgrecon_pipeline.ledger.ledger import Ledger
from orgrecon_pipeline.operations.context import Context
from orgrecon_pipeline.operations.trail.importer import import_report
from orgrecon_pipeline.report.render import render
from orgrecon_pipeline.report.write import write_report


@dataclass(frozen=True)
class Published:
    """A record, and the file that holds it."""

    record: Record
    path: Path

    @property
    def markdown(self) -> str:
        """The file's text, rendered anew: a long range of days is written without it."""
        return render(self.record)


def gate_as_of(ledger: Ledger, day: date) -> GateDecision:
    """The gate as of a day, by the policy that its observations were made under.

    Raises:
        DayRefused: when the day has no evidence.
    """
    observations = _observations(ledger, day)
    return _judge(ledger, day, observations, _deciding(observations))


def record_of(ledger: Ledger, day: date) -> Record:
    """The record of a day, from evidence alone: the same evidence gives the same record on any machine.

    Raises:
        DayRefused: when the day has no evidence.
    """
    observations = _observations(ledger, day)
    decides = _deciding(observations)
    shown = _settings(decides, "report", ReportSettings)
    return build_record(
        decides,
        observations,
        ledger.breakdown(decides.id, shown.breakdown_limit),
        ledger.samples(decides.id),
        _judge(ledger, day, observations, decides),
    )


def publish(context: Context, day: date) -> Published:
    """Write the report of a day from the ledger, which first gets what only the report that is there knows.

    Raises:
        DayRefused: when the day has no evidence.
        EvidenceNotStored: when the file cannot be written, or the ledger does not take what it lists.
    """
    with suppress(UnsoundTrail):  # nothing can be taken from it, and the ledger repairs it
        import_report(context.ledger, context.output_dir, day)
    record = record_of(context.ledger, day)
    return Published(record, write_report(context.output_dir, record))


def _observations(ledger: Ledger, day: date) -> Sequence[Observation]:
    observations = ledger.observations(day)
    if not observations:
        raise DayRefused(f"{day} has no evidence in the ledger: there is nothing to render.")
    return observations


def _deciding(observations: Sequence[Observation]) -> Observation:
    # The policy of a day is what its observations were made under, not what the mapping says by now: rendering the
    # day again in a year gives the same bytes.
    decides = deciding_observation(observations, _same_day(observations))
    assert decides is not None  # noqa: S101 - there is at least one observation
    return decides


def _judge(ledger: Ledger, day: date, observations: Sequence[Observation], decides: Observation) -> GateDecision:
    return decide_gate(day, ledger.evidence(day, _same_day(observations)), _settings(decides, "gate", GatePolicy))


def _same_day(observations: Sequence[Observation]) -> Literal["latest", "worst"]:
    return _settings(observations[-1], "gate", GatePolicy).same_day


_Settings = TypeVar("_Settings", GatePolicy, ReportSettings)


def _settings(observation: Observation, name: str, kind: type[_Settings]) -> _Settings:
    """The settings that an observation was made under; the defaults where it does not say."""
    try:
        return kind.model_validate(observation.compared.get(name, {}))
    except ValidationError:
        return kind()
