"""What the values of sampled pairs of rows say about columns: the same, the same in other words, or joined."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from orgrecon_pipeline.proposal.sample.draft import Agreement, JoinedColumn

Values = Sequence[str | None]

#: Share of the sampled values that must agree if no name says that two columns correspond.
SAME_SHARE = 0.98
#: Highest probability that all of them agree by chance.
SAME_BY_CHANCE = 1e-6

# More values than that, or nearly as many as rows, go with one other value each in any two columns.
_MAX_TRANSLATED = 30
_ROWS_PER_VALUE = 4
_MIN_JOINED = 10
# Fewer rows with a value on one side only can be lost writes.
_MIN_FILLED = 5
_BETWEEN = (" ", ", ", ",", "-", ".", "")


def agreement(source: Values, target: Values) -> Agreement:
    """Return how far the values of two columns agree, row by row."""
    some = [pair for pair in zip(source, target, strict=True) if pair != (None, None)]
    numbers = Counter(ours for ours, _ in some), Counter(theirs for _, theirs in some)
    return Agreement(
        compared=len(some), agreed=sum(ours == theirs for ours, theirs in some), values=len(numbers[0]),
        chance=sum(count * numbers[1][value] for value, count in numbers[0].items()) / max(1, len(some)) ** 2,
        translated=_translated(some, numbers), filled=_filled(some))


def _translated(pairs: Sequence[tuple[str | None, str | None]],
                numbers: tuple[Counter[str | None], Counter[str | None]]) -> int:
    """Return the number of values of the source if each goes with one value of the target, and not by chance."""
    if not 2 <= len(numbers[0]) <= min(_MAX_TRANSLATED, len(pairs) // _ROWS_PER_VALUE):
        return 0
    together: dict[str | None, Counter[str | None]] = defaultdict(Counter)
    for ours, theirs in pairs:
        together[ours][theirs] += 1
    usual = {ours: theirs.most_common(1)[0] for ours, theirs in together.items()}
    following = sum(count for _, count in usual.values())
    one_to_one = len({theirs for theirs, _ in usual.values()}) == len(usual)
    same = all(ours == theirs for ours, (theirs, _) in usual.items())
    certain = following >= SAME_SHARE * len(pairs) and _chance(pairs, numbers) <= SAME_BY_CHANCE
    return len(usual) if one_to_one and certain and not same else 0


def _filled(pairs: Sequence[tuple[str | None, str | None]]) -> str:
    """Return the side that has one value where the other has NULL, such as 9999-12-31 for an open end; empty if none.

    That value never stands beside another one, and all other values must agree, and not by chance.
    """
    both = Counter(pair for pair in pairs if None not in pair)
    total = both.total()
    same = sum(count for (ours, theirs), count in both.items() if ours == theirs)
    if len(both) < 2 or same < SAME_SHARE * total or (max(both.values()) / total) ** (2 * total) > SAME_BY_CHANCE:
        return ""
    for side, name in enumerate(("source", "target")):
        alone = Counter(pair[side] for pair in pairs if pair[1 - side] is None)
        for value, count in alone.most_common(1):
            if count >= max(_MIN_FILLED, SAME_SHARE * alone.total()) and value not in {pair[side] for pair in both}:
                return name
    return ""


def _chance(pairs: Sequence[tuple[str | None, str | None]],
            numbers: tuple[Counter[str | None], Counter[str | None]]) -> float:
    """Return about how likely two independent columns are to go together as much as these do.

    It is the likelihood ratio of independence. A rare value counts most, such as that of the few who are not active.
    """
    return math.exp(-sum(
        count * math.log(count * len(pairs) / (numbers[0][ours] * numbers[1][theirs]))
        for (ours, theirs), count in Counter(pairs).items()))


def joined_columns(source: Mapping[str, Values], target: Mapping[str, Values]) -> Iterator[JoinedColumn]:
    """Yield the columns of one side that hold two of the other side, given the values of columns of text by name."""
    for side, whole, parts in (("source", source, target), ("target", target, source)):
        for name, values in whole.items():
            for pair in itertools.permutations(parts, 2):
                if (between := _between(values, parts[pair[0]], parts[pair[1]])) is not None:
                    yield JoinedColumn(side, name, pair, between)
                    break


def _between(whole: Values, first: Values, last: Values) -> str | None:
    """Return the text that joins two columns to a third one; None if nothing does."""
    rows = [(text, start, end) for text, start, end in zip(whole, first, last, strict=True) if text and start and end]
    if len(rows) < _MIN_JOINED or len({text for text, _, _ in rows}) < _MIN_JOINED:
        return None
    for between in _BETWEEN:
        if sum(text == f"{start}{between}{end}" for text, start, end in rows) >= SAME_SHARE * len(rows):
            return between
    return None
