"""What the gate answers, for its schema: on the command line, over HTTP, and in the check in Dagster."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from orgrecon_pipeline.domain.evidence import Frozen, Reasoned
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.operations.gate.answer_fields import AnswerFields, AnswerHead, ForecastFields


class TenantGate(Reasoned):
    """The gate of one tenant."""

    tenant: str = Field(description="Name of the tenant.")
    state: GateState = Field(description="OPEN or CLOSED.")
    streak_days: int = Field(ge=0, description="Number of consecutive clean days of the tenant, ending on as_of.")
    earliest_open_day: date = Field(description="First day on which its gate can open, if each later day is clean.")
    drifting_keys: int = Field(ge=0, description="Its drifting keys on the latest decided day.")


class ListedTenantGate(TenantGate):
    """The gate of one tenant in a list."""

    forecast: ForecastFields | None = Field(None, description=(
        "What its gate still needs; null if it is OPEN. Not with --by-tenant."))


class CohortGate(Frozen):
    """The gate of all tenants that were asked for."""

    state: GateState = Field(description="OPEN if the gate of each tenant is.")
    reason: str = Field(description="Sentence that people read.")
    tenants: int = Field(ge=0, description="Number of tenants asked for.")
    open: int = Field(ge=0, description="Number of these tenants whose gate is OPEN.")


class GateAnswer(AnswerFields):
    """The company's gate and, on request, the gates of tenants."""

    cohort: CohortGate | SkipJsonSchema[None] = Field(None, description=(
        "With --tenant or --cohort: the gate of these tenants together."))
    tenants: list[ListedTenantGate] | SkipJsonSchema[None] = Field(None, description=(
        "With --tenant, --cohort or --by-tenant: the gate of each tenant."))


class TenantAnswer(AnswerHead, TenantGate):
    """The answer of the exporter about one tenant."""


class NoAnswer(Frozen):
    """The answer of the exporter if it cannot decide, or refuses the request."""

    state: Literal[GateState.CLOSED] = Field(description="Always CLOSED.")
    reason: str = Field(description="Sentence that people read.")


GateDocument = GateAnswer | TenantAnswer | NoAnswer
