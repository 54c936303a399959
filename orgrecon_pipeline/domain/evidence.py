"""Evidence about a day: observations with their verdicts, provenances and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from operator import attrgetter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, field_validator
from pydantic_core import PydanticCustomError

from orgrecon_pipeline.domain.drift.key import KeyState
from orgrecon_pipeline.domain.drift.kinds import Counts, DriftKind, add_figures
from orgrecon_pipeline.domain.facts.compared import ComparedFacts
from orgrecon_pipeline.domain.facts.reason_parameters import ReasonParameters
from orgrecon_pipeline.domain.identity import LEDGER_ID
from orgrecon_pipeline.domain.reasons import Reason, ReasonCode

#: The id of a ledger.
LedgerId = Annotated[str, Field(pattern=f"^{LEDGER_ID}$")]

#: Which of several decided observations decides a day.
SameDay = Literal["latest", "worst"]


class Verdict(str, Enum):
    """The result of an observation, and of the day that it decides. A day without any observation is MISSING."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    MISSING = "MISSING"

    @property
    def decided(self) -> bool:
        """Whether the comparison was complete: PASS or FAIL."""
        return self in (Verdict.PASS, Verdict.FAIL)


class Provenance(str, Enum):
    """The kind of evidence that an observation rests on."""

    LIVE = "live"
    BASELINE = "baseline"
    RESTORED = "restored"
    SIMULATED = "simulated"

    @property
    def compared(self) -> bool:
        """Whether a database was compared."""
        return self is not Provenance.BASELINE

    @property
    def real(self) -> bool:
        """Whether a database of the company was compared, in use or restored."""
        return self in (Provenance.LIVE, Provenance.RESTORED)


#: The kinds of evidence for which a database was compared.
COMPARED = tuple(provenance for provenance in Provenance if provenance.compared)


class Frozen(BaseModel):
    """An immutable value that permits no unknown fields."""

    # A command builds the validators of only those values that it reads.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Reasoned(Frozen):
    """A value with a reason: the sentence that was shown, and the code and parameters that programs compare."""

    reason: str = Field(description="Sentence that people read. It may be worded differently in later versions.")
    reason_code: ReasonCode = Field(description="Code of the reason (see Reasons).")
    reason_parameters: ReasonParameters = Field(description="Parameters of the reason.")

    @property
    def why(self) -> Reason:
        """The reason as one value."""
        return Reason.stored(self.reason_code, self.reason_parameters, self.reason)


class KindFields(Frozen):
    """Base of values with one field per drift kind. The fields are generated, so a new kind needs no change here."""

    @property
    def counts(self) -> Counts[Any]:
        """The figures by kind."""
        return Counts(vars(self))


def _kind_fields(name: str, figure: Any) -> Any:
    fields: dict[str, Any] = {
        kind.value: (figure, Field(ge=0, description=f"Keys that are {kind.value}: {kind.meaning}."))
        for kind in DriftKind}
    return create_model(name, __base__=KindFields, **fields)


# Much faster than :attr:`KindFields.counts`: a report can have ten thousand rows.
_FIGURE_OF_EACH_KIND: Callable[[Any], tuple[int, ...]] = attrgetter(*(kind.value for kind in DriftKind))

IntKindFields = _kind_fields("IntKindFields", int)
NullableKindFields = _kind_fields("NullableKindFields", int | None)

#: The names of the figures of an entity or a tenant, in the order in which they are shown.
FIGURES = ("source_rows", "target_rows", *(kind.value for kind in DriftKind), "transient")


_SOURCE_ROWS, _TARGET_ROWS = "Rows of the source.", "Rows of the target."
_TRANSIENT = "Keys that differed at the first read and agreed at a later one. They are no drift."


class EntityTotals(NullableKindFields, KindFields):  # type: ignore[misc, valid-type]
    """One entity over all tenants: rows of each side, keys of each drift kind, and transient keys.

    Every figure is None if the comparison did not get far enough to know it.
    """

    source_rows: int | None = Field(ge=0, description=_SOURCE_ROWS)
    target_rows: int | None = Field(ge=0, description=_TARGET_ROWS)
    transient: int | None = Field(ge=0, description=_TRANSIENT)

    @classmethod
    def unknown(cls) -> EntityTotals:
        """Return the totals of a comparison that was not completed."""
        return cls(**dict.fromkeys(FIGURES))

    @classmethod
    def zero(cls) -> EntityTotals:
        """Return the totals of an empty cluster."""
        return cls(**dict.fromkeys(FIGURES, 0))

    @classmethod
    def sum(cls, parts: Sequence[EntityTotals]) -> EntityTotals:
        """Return the totals of all parts together; a figure that one of them does not know is unknown."""
        return cls(**{name: add_figures(getattr(part, name) for part in parts) for name in FIGURES})

    @property
    def rows(self) -> int | None:
        """Rows of both sides."""
        rows: int | None = add_figures((self.source_rows, self.target_rows))
        return rows


class TenantRow(IntKindFields, KindFields):  # type: ignore[misc, valid-type]
    """One tenant and entity of the per-tenant breakdown, with the figures of :class:`EntityTotals`, all known."""

    tenant: str = Field(description="Name of the tenant. A long name is shortened and ends with a digest.")
    entity: str = Field(description="Name of the entity.")
    source_rows: int = Field(ge=0, description=_SOURCE_ROWS)
    target_rows: int = Field(ge=0, description=_TARGET_ROWS)
    transient: int = Field(ge=0, description=_TRANSIENT)
    first_seen: date | None = Field(None, description=(
        "First day of the oldest drift of the tenant; null without drift, or if it is unknown."))

    @property
    def drift(self) -> int:
        """Drifting keys of all kinds."""
        return sum(_FIGURE_OF_EACH_KIND(self))


class Sample(Frozen):
    """One drifting key."""

    tenant: str = Field(description="Name of the tenant. A long name is shortened and ends with a digest.")
    entity: str = Field(description="Name of the entity.")
    kind: DriftKind = Field(description="In which way the key drifts.")
    key: dict[str, str] = Field(description="The key as text, by column.")
    columns: tuple[str, ...] = Field((), description="Differing columns of a mismatched key.")
    values: dict[str, tuple[str | None, str | None]] | None = Field(None, description=(
        "Source and target of each differing column as text; null unless the mapping asks for values."))
    show: dict[str, str | None] | None = Field(None, description=(
        "Text of each context column, if the mapping has some: of the side that has the key, or source → target if "
        "they differ."))
    first_seen: date | None = Field(None, description=(
        "First day of the key's current run of drifting days; null if it is unknown."))
    state: KeyState | None = Field(None, description="State of the key; null if it is unknown.")


class StateCounts(Frozen):
    """Keys of one entity and kind by state; the kind of a healed key is that of the previous day. None if unknown.

    The states are unknown if the ledger does not have all keys of both days.
    """

    new: int | None = Field(ge=0, description="Keys that did not drift on the previous decided day.")
    persistent: int | None = Field(ge=0, description="Keys that drifted on the previous decided day, too.")
    healed: int | None = Field(ge=0, description="Keys that drifted on the previous decided day only.")


class Oldest(Frozen):
    """The first day of the oldest drift of an entity that is still there, and the first tenant that has it."""

    first_seen: date = Field(description="First day of the oldest drift.")
    tenant: str = Field(description="First tenant that has it.")


class SkippedDay(Frozen):
    """A day that was skipped. A decided one was compared under another mapping, or is a baseline."""

    day: date = Field(description="UTC day.")
    verdict: Verdict = Field(description="Its verdict.")


class Previous(Frozen):
    """The previous decided day, if there is one, the observation that decided it, and the days in between."""

    since: date | None = None
    observation: str | None = None
    skipped: tuple[SkippedDay, ...] = ()


def _of_every_kind(states: dict[str, StateCounts]) -> dict[str, StateCounts]:
    if states.keys() != {kind.value for kind in DriftKind}:
        raise PydanticCustomError(
            "drift_kinds", "must have the drift kinds {kinds}", {"kinds": ", ".join(kind.value for kind in DriftKind)})
    return states


#: Keys of one entity by drift kind.
OfEveryKind = Annotated[dict[str, StateCounts], AfterValidator(_of_every_kind)]


class Change(Frozen):
    """Change of the drift since the day ``since``, by entity and drift kind."""

    since: date | None = Field(description=(
        "The previous decided day; null if there is none, and then every key is new."))
    observation: str | None = Field(description="Id of the observation that decided it.")
    skipped: tuple[SkippedDay, ...] = Field(description="The days in between, oldest first.")
    entities: dict[str, OfEveryKind] = Field(description="Numbers of keys by entity and drift kind.")
    oldest: dict[str, Oldest | None] = Field(description=(
        "Oldest drift of each drifting entity that is still there; null if it is unknown."))

    @classmethod
    def of(
        cls, previous: Previous, entities: Mapping[str, Mapping[str, StateCounts]], oldest: Mapping[str, Oldest | None]
    ) -> Change:
        """Return the change since a previous day."""
        return cls(since=previous.since, observation=previous.observation, skipped=previous.skipped,
                   entities={name: dict(kinds) for name, kinds in entities.items()}, oldest=dict(oldest))

    @property
    def first_seen(self) -> date | None:
        """The first day of the oldest drift over all entities; None if there is none, or if it is unknown."""
        known = [oldest.first_seen for oldest in self.oldest.values() if oldest]
        return min(known, default=None) if len(known) == len(self.oldest) else None

    def total(self, state: KeyState) -> int | None:
        """Return the number of keys in a state over all entities and kinds; None if it is unknown."""
        total: int | None = add_figures(
            getattr(counts, state.value) for kinds in self.entities.values() for counts in kinds.values())
        return total


class Outcome(Reasoned):
    """What an observation found. A baseline names no ledger, because it is the same in all."""

    title: str = Field(description="Title of the migration, with which the report begins.")
    ledger: LedgerId | None = Field(description=(
        "Id of the ledger that stored the observation first; null for a baseline."))
    verdict: Verdict = Field(description="PASS, FAIL or INCONCLUSIVE.")
    provenance: Provenance = Field(description="Live, baseline, restored or simulated.")
    tenants_scanned: int | None = Field(
        ge=0, description="Number of tenants that are declared or have a row on either side.")
    tenants_with_drift: int | None = Field(
        ge=0, description="Number of tenants with at least one drifting key.")
    entities: dict[str, EntityTotals] = Field(description=(
        "Per entity: source_rows, target_rows, missing, unexpected, mismatched, duplicate, transient."))
    mapping_digest: str = Field(description="Epoch: digest of what was compared.")
    orgrecon_version: str = Field(description="Version of the program.")
    compared: ComparedFacts = Field(description=(
        "How the comparison was made: databases, settings, method, coverage, warnings, and the normalised mapping."))

    def outcome(self) -> dict[str, Any]:
        """Return the fields of this class, with which another kind of outcome can be made."""
        return {name: getattr(self, name) for name in Outcome.model_fields}


class Observation(Outcome):
    """One complete attempt to compare a day, without its per-tenant rows and samples.

    ``observed_at`` is the database's clock at the snapshot, None for a baseline, and the client's clock if no database
    answered. ``change`` is known if the day is decided and a database was compared.
    """

    id: str
    day: date
    observed_at: datetime | None
    change: Change | None = None

    @field_validator("entities")
    @classmethod
    def _sort_by_name(cls, entities: dict[str, EntityTotals]) -> dict[str, EntityTotals]:
        # A report shows entities in this order, and a record that was read back has only the order of its keys.
        return dict(sorted(entities.items()))

    @property
    def saw_a_tenant(self) -> bool:
        """Whether a compared database of the company (not a demo's) is known to have held a tenant."""
        return self.provenance.real and bool(self.tenants_scanned)

    @property
    def counts(self) -> Counts[int | None]:
        """Drifting keys per kind over all entities."""
        return sum_counts(self.entities)

    @property
    def rows_compared(self) -> int | None:
        """Rows of both sides over all entities."""
        rows: int | None = add_figures(totals.rows for totals in self.entities.values())
        return rows

    def drifting_keys(self) -> dict[str, int | None]:
        """Return the number of drifting keys by entity; None where it is unknown."""
        stored = self.compared.get("keys", {})
        return {
            name: 0 if totals.counts.total == 0 else stored.get(name, {}).get("drifting")
            for name, totals in self.entities.items()}


def sum_counts(entities: dict[str, EntityTotals]) -> Counts[int | None]:
    """Return the drifting keys per kind over all entities."""
    return Counts.sum(totals.counts for totals in entities.values())
