"""The questions of ``orgrecon init``: what the catalog and a sample leave open, and whether to leave out rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from orgrecon_pipeline.proposal.catalog.references import Side
from orgrecon_pipeline.proposal.search import Choices, Evaluated, SearchResult

Answers = tuple[Choices, tuple[str, ...]]


class Interview(Protocol):
    """A person who answers questions."""

    def confirm(self, question: str, *, default: bool) -> bool:
        """Return the answer to a question with yes or no."""

    def choose(self, question: str, options: list[str]) -> int:
        """Return the position of the chosen option."""

    def name(self) -> str | None:
        """Return the name of the migration; None for the default."""


class Questions:
    """Asks each question once."""

    def __init__(self, interview: Interview) -> None:
        self._interview, self._asked = interview, set[object]()

    def ask(self, sides: tuple[Side, Side], result: SearchResult, choices: Choices,
            tenant_columns: tuple[str, ...]) -> Answers:
        """Return the choices and tenant columns with the answers to new questions; the same if there were none."""
        for pair in (*result.accepted, *result.open):
            for side, table in zip(sides, (pair.candidate.source, pair.candidate.target), strict=True):
                options = side.ambiguous_tenants(table)
                if options and self._is_new(tuple(options)):
                    chosen = self._interview.choose(f"Which column of {table.label} names the tenant?", options)
                    return choices, (*tenant_columns, options[chosen])
        for pair in result.accepted:
            if self._is_new(pair.tables) and pair.tables not in choices.confirmed:
                choices = self._about_accepted(pair, choices)
        for pair in result.open:
            if self._is_new(pair.tables):
                choices = self._about_open(sides, pair, choices)
        return choices, tenant_columns

    def _is_new(self, subject: object) -> bool:
        new = subject not in self._asked
        self._asked.add(subject)
        return new

    def _about_accepted(self, pair: Evaluated, choices: Choices) -> Choices:
        candidate, draft = pair.candidate, pair.draft
        if not self._interview.confirm(
                f"Compare {candidate.source.label} (source) with {candidate.target.label} (target)? "
                f"{pair.judgement.reason}.", default=True):
            return _refuse(pair, choices)
        marks = [(table, deleted) for table, deleted in (
            (candidate.source, draft and draft.source_deleted), (candidate.target, draft and draft.target_deleted))
            if deleted]
        if marks:
            named = " and ".join(f"{table.label} ({deleted.term.column})" for table, deleted in marks)
            if not self._interview.confirm(f"Leave out the rows that {named} mark as deleted?", default=True):
                return replace(choices, keep_deleted=choices.keep_deleted | {table.id for table, _ in marks})
        return choices

    def _about_open(self, sides: tuple[Side, Side], pair: Evaluated, choices: Choices) -> Choices:
        source, target = pair.candidate.source, pair.candidate.target
        if pair.draft is None:
            return choices
        options = [f"compare them: {source.label} is the source", "do not compare them", "decide later, in the file"]
        if sides[0] is sides[1]:
            options.insert(1, f"compare them: {target.label} is the source")
        chosen = options[self._interview.choose(
            f"{source.label} and {target.label}: {pair.judgement.reason}. Do their rows correspond?", options)]
        if chosen.startswith("do not"):
            return _refuse(pair, choices)
        if chosen.startswith("decide"):
            return choices
        first, second = (source, target) if chosen == options[0] else (target, source)
        return replace(choices, pairs={**choices.pairs, first.id: second.id},
                       confirmed=choices.confirmed | {pair.tables})


def _refuse(pair: Evaluated, choices: Choices) -> Choices:
    return replace(choices, refused=choices.refused | {pair.tables})
