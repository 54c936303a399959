"""From a mapping and the tenants that drift to SQL that heals them. Nothing is run here, and no database is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.domain.canonical import sha256_of
from orgrecon_pipeline.domain.evidence import KINDS, TenantRow
from orgrecon_pipeline.domain.mapping import TENANT_COLUMN, Entity, MappingConfig
from orgrecon_pipeline.postgres.session import SETTINGS
from orgrecon_pipeline.repair.sql_literals import array_literal, literal, template
from orgrecon_pipeline.repair.steps import EntitySteps, Step, quoted, select_of
from orgrecon_pipeline.repair.target_shape import Shape, UnsupportedMapping, bases_of, may_read, shape_of, tables_of

#: Drifting keys of one batch, and so about how many rows change in one transaction; a tenant is never divided.
BATCH_KEYS = 1_000

_LOCK_TIMEOUT = "500ms"
_STATEMENT_TIMEOUT = "60s"
# Under other settings than those of the comparison the mapping's SQL could mean something else.
_PINNED = "\n".join(f"SET LOCAL {name} = '{value}';" for name, value in SETTINGS.items())


@dataclass(frozen=True)
class Repair:
    """The SQL, and by entity why none could be derived."""

    sql: str
    unsupported: dict[str, str]


def repair(
    mapping: MappingConfig, rows: Sequence[TenantRow], *, unsettled: int, head: Mapping[str, str], notes: Sequence[str],
    database: Mapping[str, str] | None = None,
) -> Repair:
    """SQL for the drift of ``rows``.

    Args:
        mapping: what was compared.
        rows: the per-tenant figures of an observation, of tenants with their full names.
        unsettled: keys that it could not decide, of whatever tenant, entity and kind.
        head: ``day`` and ``observation``, for the comment at the beginning.
        notes: further lines of that comment.
        database: ``database`` and ``system_identifier`` of where it was observed, as far as they are known.
    """
    drifting = [row for row in rows if row.drift or row.transient]
    shapes, unsupported = _shapes(mapping)
    order = [name for name in _parents_first(shapes) if any(row.entity == name for row in drifting)]
    kept = {name: other for name in order if (other := _may_refer(shapes[name], mapping, unsupported))}
    batches = list(_batches([row for row in drifting if row.entity in order]))
    listed = {name: of for name in unsupported if (of := {row.tenant for row in drifting if row.entity == name})}
    too_much = {row.entity for row in drifting if row.unexpected or row.duplicate}
    notes = [*notes, *(f"{name}: what is too much stays, for {other} may refer to it, and cannot be healed itself."
                       for name, other in kept.items() if name in too_much)]
    noted = "".join(f"-- {note}\n" for note in notes)
    parts = [template("head.sql").format(notes=noted, lock_timeout=_LOCK_TIMEOUT, **head).rstrip("\n") + "\n"]
    if batches or listed:
        parts.append("SET client_encoding = 'UTF8';  -- as this file is, whatever the database is\n")
    for number, batch in enumerate(batches, start=1):
        tenants = {row.tenant for row in batch}
        steps = {}
        for place, name in enumerate(order, start=1):
            # A key that was being written while it was read is transient or unsettled, whatever is wrong with it.
            counts = {
                kind: unsettled + sum(getattr(row, kind) + row.transient for row in batch if row.entity == name)
                for kind in KINDS
            }
            steps[name] = EntitySteps(name, place, mapping.entities[name], shapes[name], shapes,
                                      array_literal(sorted(tenants)), kept=name in kept), counts
        parts.append(template("begin.sql").format(
            number=number, batches=len(batches), tenants=len(tenants), lock_timeout=_LOCK_TIMEOUT,
            statement_timeout=_STATEMENT_TIMEOUT, settings=_PINNED,
            database=_only_in(database) if database else "", source_tables=", ".join(sorted(_sources(mapping, order))),
            target_tables=", ".join(sorted(_targets(shapes, order))),
        ))
        parts += _batch(steps)
    if listed:
        parts.append(f"\n-- The rest only reads.\nBEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n{_PINNED}\n")
        parts += [_listing(name, mapping.entities[name], unsupported[name], array_literal(sorted(of)))
                  for name, of in listed.items()]
        parts.append("COMMIT;\n")
    return Repair("".join(parts), {name: unsupported[name] for name in listed})


def _only_in(database: Mapping[str, str]) -> str:
    named = f"{database['database']} on server {database['system_identifier']}"
    return template("database.sql").format(
        tag=f"orgrecon_{sha256_of(named)[:12]}", database=literal(database["database"]),
        system_identifier=literal(database["system_identifier"]), named=literal(named),
    )


def _batch(steps: dict[str, tuple[EntitySteps, dict[str, int]]]) -> Iterator[str]:
    yield from (of.guard(counts) for of, counts in steps.values())
    yield from (of.views() + of.watching("source_before.sql") for of, _ in steps.values())
    # Children go first and come last: nothing ever refers to a row that is not there.
    for name, (of, counts) in reversed(steps.items()):
        yield from (_block(name, step) for step in of.removing(counts))
    for name, (of, counts) in steps.items():
        yield from (_block(name, step) for step in of.adding(counts))
    yield from (of.watching("source_after.sql") for of, _ in steps.values())
    views = ", ".join(view for of, _ in steps.values() for view in of.view_names())
    yield f"\nDROP VIEW {views};\nCOMMIT;\n"


def _shapes(mapping: MappingConfig) -> tuple[dict[str, Shape], dict[str, str]]:
    shapes, unsupported = {}, {}
    for name, entity in mapping.entities.items():
        try:
            tables_of(entity.source, "source")
            shape = shape_of(entity)
            EntitySteps(name, 0, entity, shape, {}, "''")
            _written_by_it_alone(name, shape, mapping)
        except UnsupportedMapping as why:
            unsupported[name] = str(why)
        else:
            shapes[name] = shape
    return shapes, unsupported


def _written_by_it_alone(name: str, shape: Shape, mapping: MappingConfig) -> None:
    """Rows of two entities in one table are each other's surplus, and those of the source are never written.

    Raises:
        UnsupportedMapping: when another entity has the same table, or a source reads it.
    """
    for other, entity in mapping.entities.items():
        if other != name and shape.base.identity in bases_of(entity):
            raise UnsupportedMapping(f"its target's table {shape.base.name} is that of {other} too")
        if may_read(entity.source, "source", shape.base):
            raise UnsupportedMapping(f"its target's table {shape.base.name} is one of the source's")


def _may_refer(shape: Shape, mapping: MappingConfig, unsupported: Mapping[str, str]) -> str | None:
    """An entity whose references to the rows of a table cannot be counted, for its own target is not understood."""
    return next((name for name in unsupported if may_read(mapping.entities[name].target, "target", shape.base)), None)


def _targets(shapes: Mapping[str, Shape], order: Sequence[str]) -> set[str]:
    """What is written or looked up in, and what refers to it: a reference that comes while rows go would be lost."""
    read = set[str]().union(*(shapes[name].tables() for name in order))
    written = {shapes[name].base.identity for name in order}
    return read | {shape.base.name for shape in shapes.values()
                   if any(lookup.table.identity in written for lookup in shape.lookups)}


def _sources(mapping: MappingConfig, order: Sequence[str]) -> set[str]:
    return {table.name for name in order for table in tables_of(mapping.entities[name].source, "source")}


def _parents_first(shapes: Mapping[str, Shape]) -> list[str]:
    """Entities in such an order that what one looks up in is written before it; as the mapping has them otherwise."""
    bases = {shape.base.identity: name for name, shape in shapes.items()}
    ordered: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered or name in path:
            return
        for lookup in shapes[name].lookups:
            parent = bases.get(lookup.table.identity)
            if parent is not None:
                visit(parent, (*path, name))
        ordered.append(name)

    for name in shapes:
        visit(name, ())
    return ordered


def _batches(rows: Sequence[TenantRow]) -> Iterator[list[TenantRow]]:
    by_tenant: dict[str, list[TenantRow]] = {}
    for row in sorted(rows, key=lambda row: row.tenant):
        by_tenant.setdefault(row.tenant, []).append(row)
    batch: list[TenantRow] = []
    for of_tenant in by_tenant.values():
        if batch and sum(row.drift + row.transient for row in (*batch, *of_tenant)) > BATCH_KEYS:
            yield batch
            batch = []
        batch += of_tenant
    if batch:
        yield batch


def _block(entity: str, step: Step) -> str:
    # A tag that no SQL of the mapping and no tenant's name can hold, by being made from them.
    tag = f"orgrecon_{sha256_of(step.statement)[:12]}"
    return template("step.sql").format(
        entity=entity, what=step.what, tag=tag, statement=step.statement, counted=step.counted, most=step.most,
        unresolved=step.unresolved, due=step.due,
        once="false" if step.repeated else "true",
    )


def _listing(name: str, entity: Entity, why: str, tenants: str) -> str:
    columns = (TENANT_COLUMN, *entity.key, *entity.compare)
    return template("list.sql").format(
        entity=name, why=why, source=select_of(entity.source, columns, tenants),
        target=select_of(entity.target, columns, tenants),
        order=", ".join((*(quoted(column) for column in columns[: 1 + len(entity.key)]), "only_in")),
    )
