"""Set-based SQL statements that repair one entity. Each compares source and target again when it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Entity
from orgrecon_pipeline.repair.guard import collation_check, target_check
from orgrecon_pipeline.repair.sql_fragments import (
    dollar_tag,
    literal,
    output_column,
    parenthesised,
    quoted,
    select,
    select_side,
    template,
)
from orgrecon_pipeline.repair.target_shape import Lookup, TargetShape, catalog_name

_TRIGGER = "skipped by a trigger"


@dataclass(frozen=True)
class Written:
    """Columns of the base table that a statement writes, and the fields of its template that depend on them."""

    columns: tuple[str, ...]
    fields: dict[str, str]


class EntitySteps:
    """The statements for one entity and one batch of tenants."""

    def __init__(
        self, name: str, number: int, entity: Entity, shapes: Mapping[str, TargetShape], tenants: str,
        limits: Mapping[str, int], *, keeps_rows: bool, keys: Sequence[tuple[str, ...]] | None = None,
    ) -> None:
        """
        Args:
            number: a number that is unique among the entities.
            shapes: the targets of all entities, because rows of one may refer to rows of another.
            tenants: array literal of the tenants.
            limits: by kind of drift, how many keys or rows may change.
            keeps_rows: whether no row may be removed.
            keys: the keys to repair, each as the texts of the tenant and of the key's columns in order of their names;
                None repairs all keys.
        """
        self._name, self._number, self._entity, self._tenants, self._limits = name, number, entity, tenants, limits
        self._shape, self._shapes, self._keeps_rows, self._keys = shapes[name], shapes, keeps_rows, keys
        self._views = {view: f"orgrecon_{view}_{number}"
                       for view in ("source", "target", "deleted_rows", "joined_often")}
        # Views that are created. A target without joins returns no row twice.
        self._created = ["source", "target", *["deleted_rows"] * bool(self._shape.deletion_column),
                         *["joined_often"] * bool(self._shape.lookups)]
        self._key = (TENANT_COLUMN, *entity.key)
        self._columns = (*self._key, *entity.compare)
        self._compared_lookups = [lookup for lookup in self._shape.lookups
                                  if any(logical in entity.compare for logical, _ in lookup.values)]

    def check_target(self) -> str:
        """Return the block that aborts the batch if the target cannot be written safely."""
        marker = [self._shape.deletion_column] if self._shape.deletion_column else []
        return target_check(
            self._name, self._shape, self._references(), removes=any(self.removals()),
            adds=self._limits["missing"] > 0 and not marker,  # marked rows may all be undeleted
            updated=[*self._written(self._compared_lookups, self._entity.compare).columns, *marker],
            written=[*self._written(self._shape.lookups, self._columns).columns, *marker],
        )

    def create_views(self) -> str:
        """Return the statements that create the views of both sides and save a checksum of the source."""
        files = ["view_sides.sql", *["view_deleted.sql"] * ("deleted_rows" in self._created),
                 *["view_joined_often.sql"] * ("joined_often" in self._created)]
        views = "".join(template(file) for file in files).format(
            **self._views,
            entity=self._name,
            select_source=self._only_keys(select_side(self._entity.source, self._columns, self._tenants)),
            select_target=self._only_keys(self._select_target(deleted=False)),
            select_deleted=self._only_keys(self._select_target(deleted=True)) if self._shape.deletion_column else "",
            select_all=self._select_all(),
        )
        compared_views = (f"pg_temp.{self._views[side]}" for side in ("source", "target"))
        return views + collation_check(self._name, compared_views, self._columns) + self._checksum("save_checksum.sql")

    def _only_keys(self, select: str) -> str:
        """Return a SELECT restricted to the keys to repair."""
        if self._keys is None:
            return select
        # In collation "C", so that no collation takes another key for one of these. VALUES, not a list, because a list
        # of rows would be compared with each row one by one.
        texts = ", ".join(f'every_row.{quoted(name)}::text COLLATE pg_catalog."C"'
                          for name in (TENANT_COLUMN, *sorted(self._entity.key)))
        keys = ",\n    ".join(f"({', '.join(map(literal, key))})" for key in self._keys)
        return f"SELECT * FROM (\n{select}\n) AS every_row\nWHERE ({texts}) IN (VALUES\n    {keys}\n)"  # noqa: S608 (literals)

    def view_names(self) -> list[str]:
        """Return the views to drop at the end of the batch."""
        return [f"pg_temp.{self._views[side]}" for side in reversed(self._created)]

    def compare_checksum(self) -> str:
        """Return the block that aborts the batch if the source has changed since :meth:`create_views`."""
        return self._checksum("compare_checksum.sql")

    def removals(self) -> Iterator[str]:
        """Yield the steps that remove unexpected keys and surplus copies."""
        if self._keeps_rows:
            return
        remove, reasons = "delete.sql", ["other rows refer to the row"] * bool(self._references())
        if self._shape.deletion_column:
            remove, reasons = "mark_deleted.sql", []  # also rows that others refer to
        if limit := self._limits["unexpected"]:
            yield self._step("unexpected keys removed", ("select_unexpected.sql", remove), limit, reasons, by_key=True)
        if limit := self._limits["duplicate"]:
            yield self._step("surplus copies removed", ("select_surplus_copies.sql", remove), limit, reasons,
                             by_key=False)

    def additions(self) -> Iterator[str]:
        """Yield the steps that undelete rows, add missing rows and correct values."""
        missing, mismatched = self._limits["missing"], self._limits["mismatched"]
        if missing and self._shape.deletion_column:
            yield self._step("rows undeleted", ("undelete.sql",), missing, [_TRIGGER], by_key=True)
            mismatched += missing  # An undeleted row has its old values, which are corrected below.
        if missing:
            # If rows look up rows of their own table, each round adds the next level, parents before children.
            nested = any(lookup.table.identity == self._shape.base.identity for lookup in self._shape.lookups)
            yield self._step("missing rows added", ("insert.sql",), missing, ["in conflict with another row", _TRIGGER],
                             by_key=False, repeat=nested, written=self._written(self._shape.lookups, self._columns))
        if mismatched and self._entity.compare:
            yield self._step("values corrected", ("update.sql",), mismatched, [_TRIGGER], by_key=True,
                             written=self._written(self._compared_lookups, self._entity.compare))

    def _step(self, what: str, files: Sequence[str], limit: int, reasons: Sequence[str], *, by_key: bool,
              repeat: bool = False, written: Written | None = None) -> str:
        """Return one step as a block: ``what`` it does is for its notice, ``files`` hold the statement.

        The notice names the ``reasons`` for which the statement leaves out rows, besides joins and lookups.

        At most ``limit`` keys (``by_key``) or rows may change. With ``repeat``, the statement runs until it changes
        nothing.
        """
        fields = {
            **(written.fields if written else {}),
            "table": self._shape.base.name,
            "deleted": self._shape.deletion_column or "",
            **{side: f"pg_temp.{view}" for side, view in self._views.items()},
            "tenant": quoted(TENANT_COLUMN),
            "key": ", ".join(quoted(name) for name in self._key),
            **{f"key_of_{alias}": ", ".join(f"{alias}.{quoted(name)}" for name in self._key) for alias in "std"},
            "columns": ", ".join(quoted(name) for name in self._columns),
            "same_key": " AND ".join(f"s.{quoted(name)} = t.{quoted(name)}" for name in self._key),
            "same_values": _and_all(
                f"s.{quoted(name)} IS NOT DISTINCT FROM t.{quoted(name)}" for name in self._entity.compare),
            "own_key": _and_all(f"h.{self._shape.base_columns[name]} = d.{quoted(name)}"
                                for name in self._key if name in self._shape.base_columns),
        }
        fields["joined_once"] = (
            template("joined_once.sql").rstrip("\n").format(**fields) if self._shape.lookups else "")
        text = "".join(template(file) for file in files)
        statement = text.format(**fields)
        if self._shape.lookups and "{joined_once}" in text:
            reasons = [*reasons, "joins return the row more than once"]
        return template("step.sql").format(
            entity=self._name, what=what, done=what.split()[-1],
            reasons=f" ({', or '.join(reasons)})" if reasons else "", tag=dollar_tag(statement),
            statement=statement, limit=limit,
            counted=f"DISTINCT ROW({fields['key']})::text" if by_key else "*",
            unresolved="(SELECT count(*) FROM wanted WHERE NOT orgrecon_resolved)" if written else "0",
            eligible="(SELECT count(*) FROM wanted WHERE orgrecon_resolved)" if written
            else "(SELECT count(*) FROM selected)",
            once="false" if repeat else "true",
        )

    def _checksum(self, file: str) -> str:
        checksum = template("source_checksum.sql").format(source=f"pg_temp.{self._views['source']}")
        return template(file).format(entity=self._name, number=self._number, checksum=checksum)

    def _select_target(self, *, deleted: bool) -> str:
        """Return a SELECT over the target's live or deleted rows that have a key.

        It adds the physical address of each row, how many rows refer to it, and whether the rows that it refers to
        are live.
        """
        [relation] = self._entity.target
        base, deletion_column = self._shape.base.alias, self._shape.deletion_column
        live = [f"{lookup.table.alias}.{column} IS NULL" for lookup in self._shape.lookups
                if (column := self._deletion_column_of(lookup))]
        output = [
            f"{base}.ctid AS orgrecon_row", f"{base}.tableoid AS orgrecon_part",
            f"{self._count_references()} AS orgrecon_references",
            f"({' AND '.join(live) or 'true'}) AS orgrecon_live_references",
            *([f"{base}.{deletion_column} AS orgrecon_deleted"] if deletion_column else []),
            *(output_column(relation, name) for name in self._columns),
        ]
        has_key = [f"{parenthesised(relation.columns[name])} IS NOT NULL" for name in self._key]
        where = f"{base}.{deletion_column} IS NOT NULL" if deleted else relation.where
        return select(relation, output, self._tenants, where, *has_key)

    def _select_all(self) -> str:
        """Return a SELECT of the physical address of every row of the target, live or not, with a key or not."""
        [relation], base = self._entity.target, self._shape.base.alias
        output = [f"{base}.tableoid AS orgrecon_part", f"{base}.ctid AS orgrecon_row"]
        return select(relation, output, self._tenants, None)

    def _references(self) -> list[tuple[str, Lookup]]:
        """Return the tables whose rows look up values in the base table, each with its lookup."""
        return [(other.base.name, lookup) for other in self._shapes.values() for lookup in other.lookups
                if lookup.table.identity == self._shape.base.identity]

    def _count_references(self) -> str:
        """Return an expression that counts the rows that look up values in a row of the base table."""
        counts = [
            f"(SELECT count(*) FROM {table} AS r WHERE "  # noqa: S608 - the mapping is trusted
            + " AND ".join(f"r.{referring} = {self._shape.base.alias}.{referenced}"
                           for referenced, referring in lookup.join_columns) + ")"
            for table, lookup in self._references()]
        return " + ".join(counts) or "0"

    def _deletion_column_of(self, lookup: Lookup) -> str | None:
        """Return the column that marks deleted rows of a joined table, if an entity has that table as its target."""
        return next((shape.deletion_column for shape in self._shapes.values()
                     if shape.base.identity == lookup.table.identity), None)

    def _written(self, lookups: Sequence[Lookup], logical_columns: Sequence[str]) -> Written:
        """Return how to write logical columns: the columns of the base table, and their values from the source."""
        base_columns = self._shape.base_columns
        values = {base_columns[name]: f"s.{quoted(name)}" for name in logical_columns if name in base_columns}
        logical_names = {catalog_name(column): name for name, column in base_columns.items()}
        joins, resolved = [], []
        for number, lookup in enumerate(lookups):
            alias = f"l{number}"
            results = [(column, base) for column, base in lookup.join_columns
                       if catalog_name(base) not in logical_names]
            deletion_column = self._deletion_column_of(lookup)
            joins.append(template("lookup.sql").format(
                results=", ".join(f"l.orgrecon_result_{n}" for n in range(len(results))),
                candidates=", ".join(
                    f"(array_agg(l.{column}))[1] AS orgrecon_result_{n}" for n, (column, _) in enumerate(results)),
                table=lookup.table.name,
                conditions=" AND ".join([
                    *(f"l.{column} = s.{quoted(name)}" for name, column in lookup.values),
                    *(f"l.{column} = s.{quoted(logical_names[catalog_name(base)])}"
                      for column, base in lookup.join_columns if catalog_name(base) in logical_names),
                    *([f"l.{lookup.tenant_column} = s.{quoted(TENANT_COLUMN)}"] if lookup.tenant_column else []),
                ]),
                live_first=f" GROUP BY l.{deletion_column} IS NULL ORDER BY l.{deletion_column} IS NULL DESC LIMIT 1"
                if deletion_column else "",
                alias=alias,
            ).rstrip("\n"))
            values |= {base: f"{alias}.orgrecon_result_{n}" for n, (_, base) in enumerate(results)}
            no_value = " AND ".join(f"s.{quoted(name)} IS NULL" for name, _ in lookup.values)
            resolved.append(
                f"({alias}.orgrecon_result_0 IS NOT NULL" + (f" OR ({no_value}))" if lookup.optional else ")"))
        numbers = range(len(values))
        return Written(tuple(values), {
            "written": ", ".join(values),
            "values": ", ".join(f"{value} AS orgrecon_written_{n}" for n, value in enumerate(values.values())),
            "written_values": ", ".join(f"orgrecon_written_{n}" for n in numbers),
            "assignments": ", ".join(f"{column} = d.orgrecon_written_{n}" for n, column in enumerate(values)),
            "lookups": "".join(joins),
            "resolved": " AND ".join(resolved) or "true",
        })


def _and_all(conditions: Iterable[str]) -> str:
    return "".join(f"\n              AND {condition}" for condition in conditions)
