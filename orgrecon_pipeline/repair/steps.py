"""The statements that heal one entity: set-based, each deciding by the source as it is when it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, Relation
from orgrecon_pipeline.repair.guard import guard, guard_texts
from orgrecon_pipeline.repair.sql_literals import template
from orgrecon_pipeline.repair.target_shape import Lookup, Shape, UnsupportedMapping, unquoted

_REVIVING = ("revive.sql",)


@dataclass(frozen=True)
class Step:
    """One statement. ``most`` is how many keys or rows it may change, ``unresolved`` counts those whose references lead
    nowhere, and ``due`` all others; ``repeated`` runs it until nothing changes."""

    what: str
    statement: str
    counted: str
    most: int
    unresolved: str
    due: str
    repeated: bool = False


@dataclass(frozen=True)
class Written:
    """Columns of the base table, and the places of a template that say what is written to them."""

    columns: tuple[str, ...]
    places: dict[str, str]


def select_of(relations: Iterable[Relation], columns: Sequence[str], tenants: str) -> str:
    """One side's rows of the tenants that are in the array literal ``tenants``."""
    return "\nUNION ALL\n".join(
        _select(relation, [_named(relation, name) for name in columns], tenants,
                relation.where)
        for relation in relations
    )


def quoted(name: str) -> str:
    """A logical name as an SQL identifier; the mapping allows none that would need escaping."""
    return f'"{name}"'


class EntitySteps:
    """Builds the steps for one entity and a batch of tenants."""

    def __init__(
        self, name: str, number: int, entity: Entity, shape: Shape, shapes: Mapping[str, Shape], tenants: str, *,
        kept: bool = False,
    ) -> None:
        """
        Args:
            name: the entity's.
            number: another one for each entity.
            entity: its mapping.
            shape: its target, turned round.
            shapes: those of all entities, for what refers to what.
            tenants: the tenants as an SQL literal of an array.
            kept: whether no row may be removed.

        Raises:
            UnsupportedMapping: when a lookup gives both a key and a compared column, or a column has one of the steps' names.
        """
        self.name, self.entity, self.shape, self.shapes, self.tenants = name, entity, shape, shapes, tenants
        self._number = number
        self._kept = kept
        self._views = {side: f"orgrecon_{side}_{number}" for side in ("source", "target", "dead", "shared")}
        # Which of the views are made: of a plain table no row comes twice.
        self._made = ["source", "target", *["dead"] * bool(shape.deleted), *["shared"] * bool(shape.lookups)]
        self.key = (TENANT_COLUMN, *entity.key)
        self.columns = (*self.key, *entity.compare)
        if any(column.startswith("orgrecon_") for column in self.columns):
            raise UnsupportedMapping("a column of it is called orgrecon_…, as those of the repair itself are")
        self._changing = [lookup for lookup in shape.lookups if any(n in entity.compare for n, _ in lookup.columns)]
        if any(name in self.key for lookup in self._changing for name, _ in lookup.columns):
            raise UnsupportedMapping("its target looks a key and a compared column up in the same table")

    def views(self) -> str:
        """What makes the views that the steps read."""
        of_view = {
            **self._views,
            "entity": self.name,
            "source_rows": select_of(self.entity.source, self.columns, self.tenants),
            "target_rows": self._target(dead=False),
            "dead_rows": self._target(dead=True) if "dead" in self._made else "",
            "all_rows": self._all_rows(),
        }
        files = ["views.sql", *(f"repair_view_{view}.sql" for view in self._made[2:])]
        made = "".join(template(file) for file in files).format(**of_view)
        return made + guard_texts(self.name, (f"pg_temp.{self._views[side]}" for side in ("source", "target")),
                                  self.columns)

    def view_names(self) -> list[str]:
        """The views to drop in the end."""
        return [f"pg_temp.{self._views[side]}" for side in reversed(self._made)]

    def guard(self, counts: Mapping[str, int]) -> str:
        """What ends the batch when the target cannot be written safely."""
        marker = [self.shape.deleted] if self.shape.deleted else []
        updated = [*self._written(self._changing, self.entity.compare).columns, *marker]
        return guard(
            self.name, self.shape, self._referring(), removes=bool(self.removing(counts)),
            updated=updated, written=[*self._written(self.shape.lookups, self.columns).columns, *marker],
        )

    def watching(self, file: str) -> str:
        """What notes the source's rows, or holds them against what was noted."""
        source = f"pg_temp.{self._views['source']}"
        rows = template("source_rows.sql").format(source=source)
        return template(file).format(entity=self.name, number=self._number, rows=rows)

    def removing(self, counts: Mapping[str, int]) -> list[Step]:
        """What is too much: unexpected keys, and copies that the source has not."""
        remove = "remove_soft.sql" if self.shape.deleted else "remove_hard.sql"
        steps: list[Step] = []
        if self._kept:
            return steps
        if counts["unexpected"]:
            steps.append(self._step("unexpected keys removed", ("doomed_unexpected.sql", remove),
                                    counts["unexpected"], by_key=True))
        if counts["duplicate"]:
            steps.append(self._step("surplus copies removed", ("doomed_duplicate.sql", remove),
                                    counts["duplicate"], by_key=False))
        return steps

    def adding(self, counts: Mapping[str, int]) -> list[Step]:
        """What is not there, or not right: rows that come back, new rows, other values."""
        steps = []
        missing, stale = counts["missing"], counts["mismatched"]
        if missing and self.shape.deleted:
            steps.append(self._step("deleted rows brought back", _REVIVING, missing, by_key=True))
            stale += missing  # what comes back comes with its old values
        if missing:
            places = self._written(self.shape.lookups, self.columns).places
            # Parents before children: where rows look rows of their own table up, each round adds the next level.
            levels = any(lookup.table.identity == self.shape.base.identity for lookup in self.shape.lookups)
            steps.append(self._step("missing rows added", ("insert.sql",), missing, by_key=False,
                                    repeated=levels, places=places))
        if stale and self.entity.compare:
            places = self._written(self._changing, self.entity.compare).places
            steps.append(self._step("values corrected", ("update.sql",), stale, by_key=True, places=places))
        return steps

    def _step(self, what: str, files: Sequence[str], most: int, *, by_key: bool, repeated: bool = False,
              places: Mapping[str, str] | None = None) -> Step:
        places = {
            **(places or {}),
            "table": self.shape.base.name,
            "deleted": self.shape.deleted or "",
            **{side: f"pg_temp.{view}" for side, view in self._views.items()},
            "tenant": quoted(TENANT_COLUMN),
            "key": _list(quoted(name) for name in self.key),
            "key_of_s": _list(f"s.{quoted(name)}" for name in self.key),
            "key_of_t": _list(f"t.{quoted(name)}" for name in self.key),
            "key_of_d": _list(f"d.{quoted(name)}" for name in self.key),
            "columns": _list(quoted(name) for name in self.columns),
            "same_key": " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in self.key),
            "same_values": _all(
                f"s.{quoted(name)} IS NOT DISTINCT FROM t.{quoted(name)}" for name in self.entity.compare),
            "own_key": _all(
                f"h.{self.shape.own[name]} = d.{quoted(name)}" for name in self.key if name in self.shape.own),
        }
        places["unshared"] = template("unshared.sql").rstrip("\n").format(**places) if self.shape.lookups else ""
        statement = "".join(template(file) for file in files).format(**places)
        counted = f"DISTINCT ROW({places['key']})::text" if by_key else "*"
        unresolved, due = "0", "(SELECT count(*) FROM doomed)"
        if files == _REVIVING:
            due = "(SELECT count(*) FROM chosen)"
        elif "resolved" in places:
            unresolved = "(SELECT count(*) FROM wanted WHERE NOT orgrecon_resolved)"
            due = "(SELECT count(*) FROM wanted WHERE orgrecon_resolved)"
        return Step(what, statement, counted, most, unresolved, due, repeated)

    def _target(self, *, dead: bool) -> str:
        """The target's rows with where each of them is, how often it is referred to, and whether what it refers to
        lives. Rows without a key belong to nobody's comparison and are never touched."""
        [relation] = self.entity.target
        base, deleted = self.shape.base.alias, self.shape.deleted
        living = [f"{lookup.table.alias}.{column} IS NULL" for lookup in self.shape.lookups
                  if (column := self._marks_deleted(lookup))]
        columns = [
            f"{base}.ctid AS orgrecon_row", f"{base}.tableoid AS orgrecon_part",
            f"{self._references()} AS orgrecon_references", f"({' AND '.join(living) or 'true'}) AS orgrecon_living",
            *([f"{base}.{deleted} AS orgrecon_deleted"] if deleted else []),
            *(_named(relation, name) for name in self.columns),
        ]
        keys = [f"{_parenthesised(relation.columns[name])} IS NOT NULL" for name in self.key]
        where = f"{base}.{deleted} IS NOT NULL" if dead else relation.where
        return _select(relation, columns, self.tenants, where, *keys)

    def _all_rows(self) -> str:
        """Where each of the target's rows is, whether it lives and has a key or not."""
        [relation] = self.entity.target
        base = self.shape.base.alias
        columns = [f"{base}.tableoid AS orgrecon_part", f"{base}.ctid AS orgrecon_row"]
        return _select(relation, columns, self.tenants, None)

    def _references(self) -> str:
        """How many rows look a value up in a row of the base table."""
        counts = [
            f"(SELECT count(*) FROM {table} AS r WHERE "  # noqa: S608 - the mapping is trusted
            + " AND ".join(f"r.{theirs} = {self.shape.base.alias}.{ours}" for ours, theirs in lookup.pairs) + ")"
            for table, lookup in self._referring()
        ]
        return " + ".join(counts) or "0"

    def _referring(self) -> list[tuple[str, Lookup]]:
        """The tables whose rows look values up in the base table, each with how."""
        return [(other.base.name, lookup) for other in self.shapes.values() for lookup in other.lookups
                if lookup.table.identity == self.shape.base.identity]

    def _marks_deleted(self, lookup: Lookup) -> str | None:
        """The column that marks deleted rows of the table in which something is looked up."""
        return next((shape.deleted for shape in self.shapes.values() if shape.base.identity == lookup.table.identity),
                    None)

    def _written(self, lookups: Sequence[Lookup], logical: Sequence[str]) -> Written:
        """What is written: columns of the base table, and values from the source."""
        written = {self.shape.own[name]: f"s.{quoted(name)}" for name in logical if name in self.shape.own}
        joins, resolved = [], []
        for number, lookup in enumerate(lookups):
            alias = f"l{number}"
            fixed = {unquoted(mine): name for name, mine in self.shape.own.items()}
            found = [(theirs, mine) for theirs, mine in lookup.pairs if unquoted(mine) not in fixed]
            marker = self._marks_deleted(lookup)
            joins.append(template("lookup.sql").format(
                found=_list(f"l.orgrecon_found_{at}" for at in range(len(found))),
                candidates=_list(f"(array_agg(l.{theirs}))[1] AS orgrecon_found_{at}"
                                 for at, (theirs, _) in enumerate(found)),
                table=lookup.table.name,
                conditions=" AND ".join([
                    *(f"l.{column} = s.{quoted(name)}" for name, column in lookup.columns),
                    *(f"l.{theirs} = s.{quoted(fixed[unquoted(mine)])}" for theirs, mine in lookup.pairs
                      if unquoted(mine) in fixed),
                ]),
                # A living one comes before one that is marked as deleted.
                living=f" GROUP BY l.{marker} IS NULL ORDER BY l.{marker} IS NULL DESC LIMIT 1" if marker else "",
                alias=alias,
            ).rstrip("\n"))
            written |= {mine: f"{alias}.orgrecon_found_{at}" for at, (_, mine) in enumerate(found)}
            nothing = " AND ".join(f"s.{quoted(name)} IS NULL" for name, _ in lookup.columns)
            resolved.append(f"({alias}.orgrecon_found_0 IS NOT NULL" + (f" OR ({nothing}))" if lookup.outer else ")"))
        return Written(tuple(written), {
            "written": _list(written),
            "values": _list(f"{value} AS orgrecon_written_{at}" for at, value in enumerate(written.values())),
            "written_values": _list(f"orgrecon_written_{at}" for at in range(len(written))),
            "assignments": _list(f"{column} = d.orgrecon_written_{at}" for at, column in enumerate(written)),
            "lookups": "".join(joins),
            "resolved": " AND ".join(resolved) or "true",
        })


def _select(relation: Relation, columns: Iterable[str], tenants: str, where: str | None, *more: str) -> str:
    conditions = [_parenthesised(where)] if where else []
    conditions += [f"{_parenthesised(relation.columns[TENANT_COLUMN])} = ANY ({tenants})", *more]
    chosen, wanted = ",\n       ".join(columns), "\n  AND ".join(conditions)
    return f"SELECT {chosen}\nFROM {relation.from_}\nWHERE {wanted}"


def _named(relation: Relation, name: str) -> str:
    return f"{_parenthesised(relation.columns[name])} AS {quoted(name)}"


def _parenthesised(text: str) -> str:
    # A comment at the end of a fragment must not swallow the parenthesis.
    return f"({text}\n)" if "--" in text else f"({text})"


def _list(items: Iterable[str]) -> str:
    return ", ".join(items)


def _all(conditions: Iterable[str]) -> str:
    return "".join(f"\n              AND {condition}" for condition in conditions)
