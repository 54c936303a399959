"""Columns of a ledger that hold JSON. They can be edited in the database, so they are validated when they are read."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy import RowMapping
from typing_extensions import NotRequired, TypedDict

from orgrecon_pipeline.domain.evidence import Change
from orgrecon_pipeline.domain.facts.compared import ComparedFacts
from orgrecon_pipeline.domain.facts.described import Described, InvalidFacts, facts, parser
from orgrecon_pipeline.domain.facts.reason_parameters import Pin, ReasonParameters


@facts
class LostCoverage(TypedDict, total=False):
    """Details of an acknowledgement of lost coverage."""

    lost: list[str]


@facts
class MovedDatabases(TypedDict):
    """Details of an acknowledgement of moved databases, by label."""

    databases: dict[str, Pin]
    replaced: NotRequired[dict[str, Pin]]


@facts
class AcceptedLedger(TypedDict):
    """Details of an acknowledgement of evaluations in Dagster: of a ledger, or of all without one."""

    ledger: str | None
    until: str


_OBSERVATION = {"change": parser("change", Change | None), "compared": parser("compared", ComparedFacts),
                "reason_parameters": parser("reason_parameters", ReasonParameters)}

#: Parse the details of an acknowledgement, by its kind.
DETAILS = {kind: parser("details", Annotated[dict[str, Any], Described(described)]) for kind, described in (
    ("coverage", LostCoverage), ("source", MovedDatabases), ("ledger", AcceptedLedger))}

#: Parses the texts of a key, or names of columns.
parse_texts = parser("key", list[str])


def facts_of(row: RowMapping) -> dict[str, Any]:
    """Return the JSON columns of an observation, which the row has besides its day.

    Raises:
        InvalidFacts: if one of them is damaged; the message names the day.
    """
    try:
        return {name: None if row[name] is None else parse(row[name]) for name, parse in _OBSERVATION.items()}
    except InvalidFacts as invalid:
        raise InvalidFacts(f"{row['day']}: {invalid}") from None
