"""``orgrecon init``: propose a mapping from the catalogs and samples of live databases, write it, and check it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from orgrecon_pipeline.config.mapping_file import parse_mapping, write_new_mapping
from orgrecon_pipeline.config.settings import Settings
from orgrecon_pipeline.domain.errors import CannotDecide, ConfigurationError, OrgreconError, UsageError
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.operations.context import TARGET_VARIABLE, Context, read_one_pair
from orgrecon_pipeline.operations.doctor import Diagnosis, Finding, diagnose
from orgrecon_pipeline.operations.init.questions import Interview, Questions
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.proposal.catalog.copies import alike_schemas
from orgrecon_pipeline.proposal.catalog.read import SECOND, read_catalog
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.catalog.tables import UNREADABLE, Table, printable
from orgrecon_pipeline.proposal.proposal import Proposal, make_proposal
from orgrecon_pipeline.proposal.render import render_mapping
from orgrecon_pipeline.proposal.sample.draft import Draft, Measurement
from orgrecon_pipeline.proposal.sample.sampler import STATEMENT_SECONDS, Sampler
from orgrecon_pipeline.proposal.search import Choices, search
from orgrecon_pipeline.proposal.tenants import declared_tenants

#: Time limit of one search, catalogs and samples included.
SEARCH_SECONDS = 300.0

_Progress = Callable[[str], None]


@dataclass(frozen=True)
class InitRequest:
    """What to propose.

    Attributes:
        output: the file to write.
        schemas: schemas to read; empty for all.
        pairs: tables that correspond, source and target, with or without their schemas.
        tenant_columns: columns that hold the tenant.
        migration: name of the migration; None for the default.
        target_url: the DSN of the target; None to read it from the environment.
    """

    output: Path
    schemas: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    tenant_columns: tuple[str, ...] = ()
    migration: str | None = None
    target_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class InitResult:
    """The new file, what it proposes, and the preflight checks of the decided part (None if nothing is decided)."""

    path: Path
    proposal: Proposal
    diagnosis: Diagnosis | None

    @property
    def ready(self) -> bool:
        """Whether a comparison can run with the file as it is."""
        return not self.proposal.open and self.diagnosis is not None and self.diagnosis.ready

    def as_json_value(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        doctor = self.diagnosis.as_json_value() if self.diagnosis else None
        return {"file": str(self.path), "ready": self.ready, **self.proposal.as_json_value(), "doctor": doctor}


def init_mapping(settings: Settings, request: InitRequest, interview: Interview | None = None,
                 progress: _Progress = lambda line: None) -> InitResult:
    """Propose a mapping, write it to a new file, and run the preflight checks on the decided part.

    Without an ``interview``, everything that is not clear becomes a TODO in the file.

    Raises:
        ConfigurationError: if no database is named, or the file exists or cannot be written.
        UsageError: if nothing can be proposed, or an option names a table or column that does not exist.
    """
    if os.path.lexists(request.output):
        raise ConfigurationError(f"{request.output} exists: name another file with --output, or move it away.")
    environ = settings.environ
    if request.target_url:
        environ = {**environ, TARGET_VARIABLE: request.target_url}
    try:
        proposal = _propose(environ, request, interview, progress)
    except CannotDecide as failure:
        raise UsageError(f"no mapping can be proposed: {failure}.") from None
    if interview and not request.migration:
        proposal = replace(proposal, migration=interview.name())
    write_new_mapping(request.output, render_mapping(proposal))
    progress(f"{request.output}: checking")
    return InitResult(request.output, proposal, _diagnose(replace(settings, environ=environ), request, proposal))


def _propose(environ: Mapping[str, str], request: InitRequest, interview: Interview | None,
             progress: _Progress) -> Proposal:
    questions = Questions(interview) if interview else None
    tenant_columns, choices = request.tenant_columns, Choices()
    measured: dict[Draft, Measurement] = {}
    while True:
        with _open_sides(environ, request, tenant_columns) as (sides, sampler):
            _require_columns(sides, request.tenant_columns)
            if not request.schemas:
                _require_one_model(sides)
            choices = replace(choices, pairs={**choices.pairs, **_chosen(sides, request)})
            measures = _CachedSampler(sampler, measured)
            result = search(sides, measures, choices, progress)
            tenants = declared_tenants(sides[0], result, _CachedSampler(sampler.of_source(), measured))
        if questions is None:
            break
        answers = questions.ask(sides, result, choices, tenant_columns)
        if answers == (choices, tenant_columns):
            break
        choices, tenant_columns = answers
    proposal = make_proposal(sides, result, tenants, request.migration)
    if not proposal.entities and not proposal.open:
        raise UsageError(_why_nothing(proposal))
    return proposal


def _why_nothing(proposal: Proposal) -> str:
    if not proposal.left_out:
        return ("the database has no tables: check the database in the URL, and that the role has USAGE on the schema "
                "and SELECT on the tables.")
    readable = [table for table in proposal.left_out if table.reason != UNREADABLE]
    if not readable:
        return (f"the role can read none of the {len(proposal.left_out)} tables: grant USAGE on their schema, and "
                "SELECT on the tables that you want to compare.")
    names = ", ".join(table.table for table in readable[:5])
    more = f" and {len(readable) - 5} more" if len(readable) > 5 else ""
    return (f"no two of the tables seem to hold the same rows ({names}{more}): name the two with --pair SOURCE=TARGET.")


class _CachedSampler:
    """Sampler that reads each draft only once, even in several searches."""

    def __init__(self, sampler: Sampler, measured: dict[Draft, Measurement]) -> None:
        self._sampler, self._measured = sampler, measured

    def measure(self, draft: Draft) -> Measurement:
        """Return what a sample says about a draft."""
        if draft not in self._measured:
            self._measured[draft] = self._sampler.measure(draft)
        return self._measured[draft]


@contextmanager
def _open_sides(environ: Mapping[str, str], request: InitRequest,
                tenant_columns: tuple[str, ...]) -> Iterator[tuple[tuple[Side, Side], Sampler]]:
    """Read the catalogs, and yield the sides with a sampler of their rows."""
    endpoints = read_one_pair(environ)
    settings = ScanSettings(statement_timeout_seconds=STATEMENT_SECONDS)
    deadline = Deadline(SEARCH_SECONDS)
    with closing(Session(endpoints.source, settings, deadline)) as source:
        first = Side(read_catalog(source, request.schemas), tenant_columns)
        if endpoints.one_database:
            yield (first, first), Sampler((source, source), (first, first))
            return
        with closing(Session(endpoints.target, settings, deadline)) as target:
            second = Side(read_catalog(target, request.schemas, SECOND), tenant_columns)
            yield (first, second), Sampler((source, target), (first, second))


def _require_columns(sides: tuple[Side, Side], tenant_columns: Iterable[str]) -> None:
    known = {column.name for side in sides for table in side.catalog.tables.values() for column in table.columns}
    for name in tenant_columns:
        if name not in known:
            raise UsageError(f"--tenant-column {name!a}: no table has such a column: check its spelling and --schema.")


def _require_one_model(sides: tuple[Side, Side]) -> None:
    for side in sides:
        if schemas := alike_schemas(side.originals):
            names = ", ".join(map(printable, schemas[:3]))
            raise UsageError(f"{len(schemas)} schemas have the same tables ({names} and {len(schemas) - 3} more): name "
                             "one of them with --schema, and add the others to its lists of sources and targets.")


def _chosen(sides: tuple[Side, Side], request: InitRequest) -> dict[int, int]:
    pairs = [(_find(sides[0], source), _find(sides[1], target)) for source, target in request.pairs]
    named: set[int] = set()
    for table in itertools.chain(*pairs):
        if table.id in named:
            raise UsageError(f"--pair names one table twice ({table.label}): name each table once, the source and its "
                             "target, as in --pair teams=org_units.")
        named.add(table.id)
    return {source.id: target.id for source, target in pairs}


def _find(side: Side, name: str) -> Table:
    tables = [table for table in side.catalog.tables.values()
              if name in (table.name, f"{table.schema}.{table.name}", table.quoted)]
    if len(tables) != 1:
        names = " or ".join(table.label for table in tables)
        raise UsageError(f"--pair {name!a}: " + (f"several tables have this name: write {names}." if tables else
                         "the database has no such table: check the name, its schema and --schema."))
    if tables[0].obstacle:
        raise UsageError(f"--pair {name!a} {tables[0].obstacle}.")
    return tables[0]


def _diagnose(settings: Settings, request: InitRequest, proposal: Proposal) -> Diagnosis | None:
    decided = replace(proposal, open=())
    if not decided.entities:
        return None
    try:
        mapping = parse_mapping(render_mapping(decided), str(request.output))
        return diagnose(Context.from_settings(settings, mapping))
    except OrgreconError as error:  # the file is written: this is a finding about it
        return Diagnosis((Finding("problem", "doctor", str(error)),))
