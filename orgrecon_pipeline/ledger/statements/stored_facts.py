"""Columns of a ledger that hold JSON. They can be edited in the database, so they are validated when they are read."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from pydantic import ValidationError
from sqlalchemy import RowMapping
from typing_extensions import NotRequired, TypedDict

from orgrecon_pipeline.domain.evidence import Change, Sample
from orgrecon_pipeline.domain.facts.compared import ComparedFacts
from orgrecon_pipeline.domain.facts.described import Described, InvalidFacts, facts, first_error, parser
from orgrecon_pipeline.domain.facts.reason_parameters import Pin, ReasonParameters
from orgrecon_pipeline.domain.gate.ready_tenants import ReadyTenants


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
    """Details of an acknowledgement that accepts evaluations in Dagster by one ledger, or by runs without a ledger."""

    ledger: str | None
    until: str


_OBSERVATION = {"change": parser("change", Change | None), "compared": parser("compared", ComparedFacts),
                "reason_parameters": parser("reason_parameters", ReasonParameters)}

#: Parse the details of an acknowledgement, by its kind.
DETAILS = {kind: parser("details", Annotated[dict[str, Any], Described(described)]) for kind, described in (
    ("coverage", LostCoverage), ("source", MovedDatabases), ("ledger", AcceptedLedger))}

#: Parse the columns of a drifting key of a day.
parse_key, parse_columns = parser("key", list[str]), parser("differing_columns", list[str])

# By the field of a sample.
_SAMPLE_COLUMNS = {"key": "key", "columns": "differing_columns", "values": "column_values", "show": "context"}
_SAMPLE = {field: parser(column, Sample.model_fields[field].annotation) for field, column in _SAMPLE_COLUMNS.items()}


def facts_of(row: RowMapping) -> dict[str, Any]:
    """Return the parsed JSON columns of an observation's row, which also has the day.

    Raises:
        InvalidFacts: if one of them is damaged; the message names the day.
    """
    return {name: None if row[name] is None else parse(row["day"], row[name]) for name, parse in _OBSERVATION.items()}


def sample_facts_of(row: RowMapping) -> dict[str, Any]:
    """Return the parsed JSON columns of a sample's row, which also has the day, by field; see :func:`facts_of`."""
    return {field: None if row[column] is None else _SAMPLE[field](row["day"], row[column])
            for field, column in _SAMPLE_COLUMNS.items()}


def parse_figures(day: date, text: str) -> ReadyTenants:
    """Return the tenant gates as of a day; see :func:`facts_of`."""
    try:
        return ReadyTenants.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InvalidFacts(first_error(error, f"{day}: figures")) from None
