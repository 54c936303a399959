"""The search for pairs: candidates of the catalog are measured, and each accepted pair can lead to others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orgrecon_pipeline.proposal.candidates import Candidate, find_candidates
from orgrecon_pipeline.proposal.catalog.copies import may_be_copy
from orgrecon_pipeline.proposal.catalog.deleted import DeletedRows, PossibleMark, deleted_rows, possible_marks
from orgrecon_pipeline.proposal.catalog.maps import find_maps
from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.columns import Columns, choose_columns
from orgrecon_pipeline.proposal.judge import Confidence, Judgement, judge
from orgrecon_pipeline.proposal.keys import Key
from orgrecon_pipeline.proposal.links import Linker, Pair
from orgrecon_pipeline.proposal.relations import direction_like, is_detail
from orgrecon_pipeline.proposal.sample.draft import Draft, Measurement, Measures
from orgrecon_pipeline.proposal.target_index import Strength, TargetIndex
from orgrecon_pipeline.proposal.tenant_tables import find_tenants
from orgrecon_pipeline.proposal.unnamed import find_unnamed_candidates

#: Maximum number of drafts that are measured.
MAX_MEASURED = 400
#: After so many, only pairs are measured for which names or keys say something.
MAX_UNNAMED = 300
_MAX_ROUNDS = 5
_MAX_LINKS = 400
_MAX_TENANT_LINKS = 3
# Share of the keys that both sides must have before the other columns of a pair without names are read.
_MIN_RATE = 0.6
# A second candidate with nearly the score of the first makes the choice unclear.
_CLOSE = 0.15


@dataclass(frozen=True)
class Choices:
    """What a person has decided.

    Attributes:
        pairs: numbers of tables that correspond, source to target.
        refused: pairs of numbers, in any order, that do not.
        confirmed: pairs of numbers that correspond, whatever a sample says.
        keep_deleted: numbers of tables whose deleted rows are compared.
    """

    pairs: Mapping[int, int] = field(default_factory=dict)
    refused: frozenset[frozenset[int]] = frozenset()
    confirmed: frozenset[frozenset[int]] = frozenset()
    keep_deleted: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Evaluated:
    """A candidate with the best of its keys, what was measured, and how it is judged; no draft without a key."""

    candidate: Candidate
    draft: Draft | None
    measurement: Measurement
    columns: Columns
    judgement: Judgement

    @property
    def tables(self) -> frozenset[int]:
        """Numbers of both tables."""
        return _tables(self.candidate)


@dataclass(frozen=True)
class SearchResult:
    """Pairs that are proposed, and pairs that a person must decide.

    ``not_chosen`` says, by the number of a table, why another one was paired with its counterpart.
    """

    accepted: tuple[Evaluated, ...]
    open: tuple[Evaluated, ...]
    not_chosen: Mapping[int, str] = field(default_factory=dict)


def search(sides: tuple[Side, Side], measures: Measures, choices: Choices,
           progress: Callable[[str], None] = lambda line: None) -> SearchResult:
    """Return the pairs of tables whose rows correspond. ``progress`` takes messages."""
    return _Search(sides, measures, choices, progress).run()


class _Search:
    def __init__(self, sides: tuple[Side, Side], measures: Measures, choices: Choices,
                 progress: Callable[[str], None]) -> None:
        self._sides, self._measures, self._choices, self._progress = sides, measures, choices, progress
        self._measured: dict[Draft, Measurement] = {}
        self._maps = find_maps(sides[1])
        self._index = TargetIndex(sides[1], self._maps)
        self._evaluated: dict[tuple[Candidate, tuple[Pair, ...]], Evaluated] = {}
        self._accepted: list[Evaluated] = []
        self._not_chosen: dict[int, str] = {}
        self._tenants = find_tenants(sides, measures)

    def run(self) -> SearchResult:
        evaluated: dict[frozenset[int], Evaluated] = {}
        for _ in range(_MAX_ROUNDS):
            linker = self._linker()
            evaluated = self._evaluate(linker, find_candidates(linker, self._index, self._choices.pairs))
            measured = [pair for pair in evaluated.values() if pair.measurement.rate is not None]
            # What only the catalog says is accepted late: an accepted pair may lead to a better key.
            if self._accept(measured, evaluated.values()) or self._accept(evaluated.values()):
                continue
            unnamed = self._evaluate(linker, find_unnamed_candidates(linker, self._taken(evaluated.values())))
            evaluated |= unnamed
            if not self._accept(unnamed.values()):
                break
        accepted = tuple(self._evaluate_one(self._linker(), pair.candidate) for pair in self._accepted)
        taken = {table for pair in accepted for table in pair.tables}
        left = [pair for tables, pair in evaluated.items() if not tables & taken]
        still_open = [self._unclear(pair, left) for pair in left if pair.judgement.confidence is not Confidence.NONE]
        return SearchResult(
            accepted, tuple(sorted(still_open, key=lambda pair: -pair.judgement.score)), self._not_chosen)

    def _linker(self) -> Linker:
        return Linker(*self._sides, tuple(_pair(pair) for pair in self._accepted), self._tenants, self._maps)

    def _taken(self, evaluated: Iterable[Evaluated]) -> set[int]:
        """Return the tables that correspond, and those whose names say so, also if a person must decide."""
        left = (pair for pair in evaluated if pair.judgement.proposed or (
            pair.candidate.strength >= Strength.NAMES and pair.judgement.confidence is Confidence.OPEN))
        return self._linker().taken | {table for pair in left for table in pair.tables}

    def _evaluate(self, linker: Linker, candidates: Iterable[Candidate]) -> dict[frozenset[int], Evaluated]:
        evaluated: dict[frozenset[int], Evaluated] = {}
        for candidate in candidates:
            if candidate.source.id in self._choices.pairs:
                candidate = replace(candidate, direction=1)
            elif not candidate.direction:
                direction = direction_like(self._sides, candidate, [pair.candidate for pair in self._accepted])
                candidate = replace(candidate, direction=direction)
            tables = _tables(candidate)
            taken = any(tables & pair.tables for pair in self._accepted)
            if taken or tables in self._choices.refused or candidate.direction < 0:
                continue
            pair = self._evaluate_one(linker, candidate)
            other = evaluated.get(tables)
            if other is None or _rank(pair) > _rank(other):
                evaluated[tables] = pair
        return evaluated

    def _evaluate_one(self, linker: Linker, candidate: Candidate) -> Evaluated:
        referred = {reference.hop.table for side, table in zip(
            self._sides, (candidate.source, candidate.target), strict=True) for reference in side.references[table.id]}
        pairs = tuple(pair for pair in linker.pairs if {pair.source, pair.target} & referred)
        if (candidate, pairs) not in self._evaluated:  # an accepted pair changes only candidates that refer to it
            self._evaluated[candidate, pairs] = self._judge(replace(linker, pairs=pairs), candidate)
        return self._evaluated[candidate, pairs]

    def _judge(self, linker: Linker, candidate: Candidate) -> Evaluated:
        options = [self._evaluate_key(linker, candidate, key) for key in candidate.keys]
        if not options:
            reason = f"{candidate.why}; no key of one table can be linked to columns of the other"
            return Evaluated(candidate, None, Measurement(), Columns((), ()), Judgement(Confidence.OPEN, reason, 0.0))
        best = max(options, key=lambda pair: pair.judgement.score)
        if (best.measurement.rate or 0.0) < _MIN_RATE or candidate.tenant is None:
            best = max((best, *self._with_other_tenant(linker, candidate)), key=_rank)
        if best.tables in self._choices.confirmed:
            return replace(best, judgement=Judgement(
                Confidence.LOW, f"{best.judgement.reason}; confirmed by a person", best.judgement.score + 1))
        if candidate.direction == 0 and best.draft:
            best = replace(best, judgement=_directed(best.draft, best.judgement))
        if (candidate.strength is not Strength.CHOSEN and may_be_copy(candidate.source, candidate.target)
                and best.judgement.confidence is Confidence.HIGH):
            reason = (f"{best.judgement.reason}; {candidate.source.label} has only columns of "
                      f"{candidate.target.label}, so it can also be a copy")
            return replace(best, judgement=replace(best.judgement, reason=reason, confidence=Confidence.MEDIUM))
        return best

    def _with_other_tenant(self, linker: Linker, candidate: Candidate) -> list[Evaluated]:
        """Evaluate the keys with other identifiers of the tenant; if none agrees, without it, if they need none."""
        whole = [key for key in candidate.keys if key.needs_no_tenant(candidate.source, candidate.target)]
        without = _possible(self._evaluate_key(linker, replace(candidate, tenant=None), key) for key in whole)
        if candidate.strength is Strength.VALUES and not without:
            return []
        links = itertools.islice(linker.other_tenant_links(candidate.source, candidate.target), _MAX_TENANT_LINKS)
        return _possible(self._evaluate_key(linker, replace(candidate, tenant=link), key)
                         for link, key in itertools.product(links, candidate.keys)) or without

    def _evaluate_key(self, linker: Linker, candidate: Candidate, key: Key) -> Evaluated:
        deleted = [None if table.id in self._choices.keep_deleted else deleted_rows(table)
                   for table in (candidate.source, candidate.target)]
        if None in deleted and any(mark and not mark.sure for mark in deleted):
            deleted = [None, None]
        own_tenants = [next(iter(side.tenant_columns(table)), None) for side, table in zip(
            self._sides, (candidate.source, candidate.target), strict=True)]
        draft = Draft(candidate.source, candidate.target, candidate.tenant, key.links, (), deleted[0], deleted[1],
                      (own_tenants[0], own_tenants[1]), self._possible_marks(linker, candidate, deleted))
        if candidate.strength is Strength.VALUES and not self._is_promising(draft):
            return Evaluated(candidate, draft, Measurement(), Columns((), ()), Judgement(Confidence.NONE, "", 0.0))
        with_self = replace(linker, pairs=(*linker.pairs, _draft_pair(draft)))
        links = with_self.column_links(candidate.source, candidate.target, used=draft.own_columns("source"))
        draft = replace(draft, columns=tuple(dict.fromkeys(links))[:_MAX_LINKS])
        measurement = self._measure(draft)
        if any(measurement.deleted):
            draft = replace(draft, source_deleted=draft.source_deleted or measurement.deleted[0],
                            target_deleted=draft.target_deleted or measurement.deleted[1], marks=((), ()))
            measurement = self._measure(draft)
        columns = choose_columns(draft, measurement)
        return Evaluated(candidate, draft, measurement, columns,
                         judge(candidate.strength, candidate.why, draft, measurement, columns))

    def _is_promising(self, draft: Draft) -> bool:
        """Return whether the keys of a draft agree, so that its columns are worth a sample."""
        return len(self._measured) < MAX_UNNAMED and (self._measure(draft).rate or 0) >= _MIN_RATE

    def _possible_marks(self, linker: Linker, candidate: Candidate, known: Sequence[DeletedRows | None]
                        ) -> tuple[tuple[PossibleMark, ...], tuple[PossibleMark, ...]]:
        """Return the terms of each side that may mark deleted rows, unless its mark is known or they are compared."""
        source, target = (
            () if mark or table.id in self._choices.keep_deleted else possible_marks(side, table, linker.taken)
            for side, table, mark in zip(self._sides, (candidate.source, candidate.target), known, strict=True))
        return source, target

    def _measure(self, draft: Draft) -> Measurement:
        if draft not in self._measured:
            if len(self._measured) >= MAX_MEASURED:
                return Measurement(skipped=f"{MAX_MEASURED} pairs were measured before: name it with --pair")
            self._progress(f"{draft.source.label} and {draft.target.label}: reading a sample")
            self._measured[draft] = self._measures.measure(draft)
        return self._measured[draft]

    def _accept(self, pairs: Iterable[Evaluated], others: Iterable[Evaluated] = ()) -> bool:
        """Accept the best pairs, each table once; return whether there were any. ``others`` can only be left out."""
        pairs = list(pairs)
        proposed = sorted((pair for pair in pairs if pair.judgement.proposed), key=lambda pair: -pair.judgement.score)
        number = len(self._accepted)
        for pair in proposed:
            taken = any(pair.tables & other.tables for other in self._accepted)
            if not taken and not self._rivals(pair, proposed):
                self._accepted.append(pair)
                for other in (*pairs, *others):
                    if other.judgement.confidence is not Confidence.NONE and len(other.tables & pair.tables) == 1:
                        self._leave_out(other.candidate, pair.candidate)
        return len(self._accepted) > number

    def _leave_out(self, candidate: Candidate, accepted: Candidate) -> None:
        """Keep why a candidate was not chosen that shares a table with an accepted pair."""
        tables = {table.id: table for pair in (candidate, accepted) for table in (pair.source, pair.target)}
        [shared] = _tables(candidate) & _tables(accepted)
        [left], [chosen] = _tables(candidate) - {shared}, _tables(accepted) - {shared}
        detail = is_detail(self._sides, candidate, accepted)
        if detail or left not in self._not_chosen:
            self._not_chosen[left] = (
                f"can also correspond to {tables[shared].label}, but {tables[chosen].label}, "
                f"{'to which it refers' if detail else 'which agrees better'}, was chosen: if that is wrong, name this "
                "one with --pair")

    def _rivals(self, pair: Evaluated, others: Iterable[Evaluated]) -> list[Evaluated]:
        """Return the other pairs of one of the tables that are about as likely."""
        return [other for other in others if other is not pair and pair.tables & other.tables
                and other.judgement.proposed and other.judgement.score > pair.judgement.score - _CLOSE
                and not is_detail(self._sides, other.candidate, pair.candidate)]

    def _unclear(self, pair: Evaluated, others: Iterable[Evaluated]) -> Evaluated:
        """Return a pair that was not accepted as one that a person must decide, with the reason."""
        if not pair.judgement.proposed:
            return pair
        rivals = " and ".join(sorted({other.candidate.label for other in self._rivals(pair, others)}))
        reason = f"{pair.judgement.reason}; it is not clear whether {pair.candidate.label} or {rivals} correspond"
        return replace(pair, judgement=replace(pair.judgement, confidence=Confidence.OPEN, reason=reason))


def _tables(candidate: Candidate) -> frozenset[int]:
    return frozenset((candidate.source.id, candidate.target.id))


def _possible(pairs: Iterable[Evaluated]) -> list[Evaluated]:
    return [pair for pair in pairs if pair.judgement.confidence is not Confidence.NONE]


def _rank(pair: Evaluated) -> tuple[bool, float]:
    """Return how good a direction of two tables is: first of all, something should say that it is the right one."""
    return pair.judgement.proposed, pair.judgement.score


def _directed(draft: Draft, judgement: Judgement) -> Judgement:
    """Return the judgement of a pair if names do not say which table is the source: its key can."""
    if draft.direction < 0:
        return replace(judgement, confidence=Confidence.NONE, score=0.0)
    if draft.direction > 0:
        newer = f"{draft.target.label} also has identifiers of its own, so it is the newer one"
        confidence = Confidence.MEDIUM if judgement.confidence is Confidence.HIGH else judgement.confidence
        return replace(judgement, reason=f"{judgement.reason}; {newer}", confidence=confidence)
    if judgement.proposed:
        return replace(judgement, confidence=Confidence.OPEN, reason=(
            f"{judgement.reason}; nothing says which of the two is the source"))
    return judgement


def _pair(pair: Evaluated) -> Pair:
    return _draft_pair(pair.draft) if pair.draft else Pair(pair.candidate.source.id, pair.candidate.target.id)


def _draft_pair(draft: Draft) -> Pair:
    if len(draft.key) == 1:
        return Pair(draft.source.id, draft.target.id, (draft.key[0].source, draft.key[0].target))
    return Pair(draft.source.id, draft.target.id)
