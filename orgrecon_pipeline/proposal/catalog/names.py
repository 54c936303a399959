"""Names of tables and columns: their words, synonyms, and the generation of a model that they indicate."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

# Words at the ends of a name that say which generation of a model a table belongs to, or nothing at all.
_OLD = {"legacy", "old", "prev", "previous", "orig", "original", "deprecated", "v1", "former", "obsolete"}
_ELSEWHERE = {"source", "src", "external", "ext"}
_NEW = {"new", "next", "modern"}
_EMPTY = {"tbl", "table", "tb", "data", "entity"}
_VERSION = re.compile(r"v?[0-9]+|v")
# Copies that no application writes. Their rows match those of the original, but they are not its successor.
_COPY = {"backup", "bak", "bkp", "copy", "tmp", "temp", "archive", "archived", "history", "hist", "log", "audit",
         "staging", "stg", "snapshot", "dump", "version", "auditlog", "changelog", "logentry", "audittrail"}
_DATE = re.compile(r"(?:19|20)[0-9]{4,6}")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
# Words of a table that was kept when its name was given to another one, or before a change.
_KEPT = {"old", "prev", "previous", "orig", "original", "former"}
_CASE = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORDS = re.compile(r"[^\W\d_]+|[0-9]+")

#: Words that have one meaning in the names of columns.
_SYNONYMS = {word: group[0] for group in (
    ("name", "title", "label", "display"), ("kind", "type", "category"), ("state", "status"), ("mail", "email"),
    ("description", "descr", "desc"), ("created", "inserted", "added"), ("updated", "modified", "changed"),
    ("deleted", "removed"), ("role", "permission"), ("code", "slug"), ("user", "member", "person"),
    ("parent", "super"), ("position", "rank", "order"), ("organization", "organisation", "org"),
) for word in group}
_TIME_ENDINGS = {"at", "on", "time", "date", "ts", "timestamp"}
_ID_ENDINGS = {"id", "uuid", "key", "pk", "fk", "no", "nr", "code", "ref"}
_TENANT_ENDINGS = {"slug", "handle", "subdomain"}
_BOOKKEEPING = {"created", "inserted", "added", "updated", "modified", "changed", "synced", "migrated", "version",
                "etag", "lock"}

#: Names of tenants, best first. A table or a column is about tenants if its name is one of these words.
TENANT_WORDS = ("tenant", "organization", "account", "company", "customer", "client", "workspace", "realm",
                "mandant")


@cache
def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case and in the singular, in any style of writing."""
    parts = tuple(_singular(word.lower()) for word in _WORDS.findall(_CASE.sub("_", name)))
    return _join_versions(parts)


def _join_versions(parts: tuple[str, ...]) -> tuple[str, ...]:
    joined: list[str] = []
    for word in parts:
        if joined and joined[-1] == "v" and word.isdigit():
            joined[-1] = f"v{word}"
        else:
            joined.append(word)
    return tuple(joined)


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes", "uses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


@cache
def stem(name: str) -> tuple[str, ...]:
    """Return the words of a table's name, but without ``legacy``, ``v2`` and others that only name a generation."""
    parts = list(words(name))
    while len(parts) > 1 and _is_generation(parts[0]):
        del parts[0]
    while len(parts) > 1 and _is_generation(parts[-1]):
        del parts[-1]
    return tuple(parts)


def _is_generation(word: str) -> bool:
    return word in _OLD | _NEW | _EMPTY or _VERSION.fullmatch(word) is not None


@cache
def generation(schema: str, name: str) -> int:
    """Return 1 if schema and name say that a table is new, -1 if they say that it is old, 0 if they say nothing."""
    parts = {*words(name)} | {*words(schema)}
    new = bool(parts & _NEW) or any(re.fullmatch(r"v[2-9][0-9]*", word) for word in parts)
    old = bool(parts & _OLD)
    return int(new) - int(old)


def is_copy(name: str) -> bool:
    """Return whether a table is named like a backup, a log or another copy."""
    return any(word in _COPY or _DATE.fullmatch(word) for word in words(name))


@cache
def kept_words(name: str) -> tuple[str, ...]:
    """Return the words of a table's name without ``old`` or a year; none if it has neither."""
    parts = words(name)
    rest = tuple(word for word in parts if word not in _KEPT and not _YEAR.fullmatch(word))
    return rest if len(rest) < len(parts) else ()


def has_year(name: str) -> bool:
    """Return whether a name has a year in it."""
    return any(_YEAR.fullmatch(word) for word in words(name))


@cache
def column_words(column: str, table: str = "") -> tuple[str, ...]:
    """Return the words of a column's name without its table's name in front, ``is`` in front, and ``at`` at the end."""
    parts = words(column)
    own = stem(table) if table else ()
    for size in range(len(own), 0, -1):
        if len(parts) > size and parts[:size] == own[-size:]:
            parts = parts[size:]
            break
    if len(parts) > 1 and parts[-1] in _TIME_ENDINGS:
        parts = parts[:-1]
    if len(parts) > 1 and parts[0] == "is":
        parts = parts[1:]
    return parts


@cache
def column_similarity(first: str, first_table: str, second: str, second_table: str) -> float:
    """Return how alike two columns are named, from 0 to 1."""
    if first == second:
        return 1.0
    ours, theirs = column_words(first, first_table), column_words(second, second_table)
    if ours == theirs or words(first) == words(second):
        return 0.9
    if [_SYNONYMS.get(word, word) for word in ours] == [_SYNONYMS.get(word, word) for word in theirs]:
        return 0.7
    return 0.0


def is_bookkeeping(column: str) -> bool:
    """Return whether a column only says when or by which version a row was written."""
    return bool(set(words(column)) & _BOOKKEEPING)


@cache
def old_identifier(column: str) -> tuple[str, ...] | None:
    """Return the words that a column such as ``legacy_team_id`` names, none for ``legacy_id``; None for any other."""
    parts = words(column)
    if len(parts) < 2 or parts[-1] not in _ID_ENDINGS:
        return None
    rest = parts[:-1]
    named = tuple(word for word in rest if word not in _OLD | _ELSEWHERE)
    return named if len(named) < len(rest) else None


def points_to(column: str, table: str) -> str:
    """Return the kind of an old identifier that a column of another table can hold, judged by its name.

    It is ``named`` for ``legacy_team_id`` and ``teams``; ``old`` for ``legacy_id``, which names no table; ``plain`` for
    ``team_id``, which can also be an ordinary reference; else empty.
    """
    named = old_identifier(column)
    if named is not None:
        return "named" if named == stem(table) else "" if named else "old"
    return "plain" if identifier_words(column) and identifier_words(column) == stem(table) else ""


@cache
def identifier_words(column: str) -> tuple[str, ...]:
    """Return the words that a column such as ``team_id`` names; none if it is not named for an identifier."""
    parts = words(column)
    return parts[:-1] if len(parts) > 1 and parts[-1] in _ID_ENDINGS else ()


def references_by_name(column: str, table: str) -> bool:
    """Return whether a column is named like a reference to a table: ``team_id`` or ``parent_team_id`` to ``teams``."""
    parts, own = words(column), stem(table)
    return len(parts) > 1 and parts[-1] in _ID_ENDINGS and parts[:-1][-len(own):] == own


def polymorphic(columns: Iterable[str]) -> tuple[str, str] | None:
    """Return the columns that refer to rows of several tables, as ``owner_type`` and ``owner_id``; None if none do."""
    by_words = {words(column): column for column in columns}
    for parts, column in by_words.items():
        if parts == ("content", "type", "id") and ("object", "id") in by_words:
            return column, by_words["object", "id"]
        number = (*parts[:-1], "id")
        if len(parts) > 1 and parts[-1] == "type" and number in by_words:
            return column, by_words[number]
    return None


def is_parent(column: str) -> bool:
    """Return whether a column is named like a reference to another row of its own table."""
    return words(column) in {("parent",), ("parent", "id"), ("parent", "uuid"), ("manager", "id")}


def tenant_rank(column: str) -> int | None:
    """Return the position of a column's name among the names of tenants, None if it is none of them."""
    parts = words(column)
    base = parts[:-1] if len(parts) > 1 and parts[-1] in _ID_ENDINGS | _TENANT_ENDINGS else parts
    return _rank(base)


def tenant_table_rank(table: str) -> int | None:
    """Return the position of a table's name among the names of tenants, None if it is none of them."""
    return _rank(stem(table))


def _rank(parts: tuple[str, ...]) -> int | None:
    if len(parts) != 1:
        return None
    word = _SYNONYMS.get(parts[0], parts[0])
    return TENANT_WORDS.index(word) if word in TENANT_WORDS else None
