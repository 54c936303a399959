"""Public fields of a gate answer, with which the answers of a Dagster deployment are read."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from orgrecon_pipeline.domain.evidence import LedgerId, Provenance, Reasoned, SameDay
from orgrecon_pipeline.domain.gate.state import GateState
from orgrecon_pipeline.domain.identity import validate_environment, validate_name
from orgrecon_pipeline.domain.integrity.chain import ChainHead
from orgrecon_pipeline.domain.record import WindowDay

# Fields of later versions are ignored.
_LENIENT = ConfigDict(extra="ignore")


class WindowFields(WindowDay):
    """One day of the window."""

    model_config = _LENIENT


class LatestDriftFields(BaseModel):
    """Drift on the latest day that a comparison decided."""

    day: date = Field(description="UTC day.")
    drifting_keys: int | None = Field(description="Number of drifting keys; null if it is unknown.")
    tenants_with_drift: int | None = Field(description="Number of tenants with drift; null if it is unknown.")
    oldest_first_seen: date | None = Field(description="First day of the oldest drift; null if it is unknown.")


class ForecastFields(BaseModel):
    """What a CLOSED gate still needs."""

    clean_days: int = Field(ge=0, description="Live days without drift that are needed after as_of.")
    earliest_open_day: date = Field(description="The last of them.")
    clean_days_after_rerun: int | None = Field(description=(
        "How many days are still needed after a clean run on as_of itself; null if a comparison decided that day."))
    drift: LatestDriftFields | None = Field(description="Drift that must heal; null without drift.")
    obstacles: tuple[str, ...] = Field(description="Everything else that must be resolved.")
    text: str = Field(description="The forecast as text.")


class AnswerHead(BaseModel):
    """What an answer is about, and how long it is valid."""

    model_config = _LENIENT

    migration: Annotated[str, AfterValidator(validate_name)] = Field(description="Name of the migration.")
    environment: Annotated[str, AfterValidator(validate_environment)] = Field(description=(
        "Name of the environment, empty without one."))
    ledger: LedgerId | None = Field(description="Id of the ledger that was asked; null if reports were.")
    as_of: date = Field(description="UTC day on which the answer is based.")
    valid_until: str = Field(description="UTC time from which the evidence is too old for an OPEN gate.")


class AnswerFields(AnswerHead, Reasoned):
    """The gate of a whole company."""

    model_config = _LENIENT

    chain: ChainHead | None = Field(description="Head of the ledger's hash chain; null if reports were asked.")
    state: GateState = Field(description="OPEN or CLOSED.")
    streak_days: int = Field(ge=0, description="Number of consecutive clean days, ending on as_of.")
    window_days: int = Field(ge=1, le=100_000, description="Number of clean days that the gate needs.")
    min_live_days: int = Field(ge=0, le=100_000, description="Number of counted days that must be live.")
    same_day: SameDay = Field(description="Which of several observations decides a day.")
    mapping_digest: str = Field(description="Epoch that counts; empty if no day was compared.")
    live_days: int = Field(description="Number of live days among the counted days.")
    counted: dict[Provenance, Annotated[int, Field(ge=0)]] = Field(description=(
        "Number of counted days by provenance."))
    earliest_open_day: date = Field(description="First day on which the gate can open, if each later day is clean.")
    forecast: ForecastFields | None = Field(description="What the gate still needs; null if it is OPEN.")
    window: tuple[WindowFields, ...] = Field(description="The last seven days or more.")
