"""The repair script: SQL that makes the target equal to the source for the drifting tenants of an observation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.evidence import TenantRow
from orgrecon_pipeline.domain.mapping.model import TENANT_COLUMN, Entity, MappingConfig
from orgrecon_pipeline.postgres.settings import SETTINGS
from orgrecon_pipeline.repair.guard import database_check
from orgrecon_pipeline.repair.sql_fragments import array_literal, quoted, select_side, template
from orgrecon_pipeline.repair.steps import EntitySteps
from orgrecon_pipeline.repair.target_shape import (
    TargetShape,
    UnsupportedMapping,
    base_identities,
    may_read,
    shape_of,
    tables_of,
    tenant_columns,
)

#: Most drifting keys in one batch, and so about how many rows change in one transaction. A tenant is never split.
BATCH_KEYS = 1_000

_LOCK_TIMEOUT = "500ms"
_STATEMENT_TIMEOUT = "60s"
# The mapping's SQL must mean what it meant in the comparison.
_SETTINGS = "\n".join(f"SET LOCAL {name} = '{value}';" for name, value in SETTINGS.items())


#: Keys by tenant and entity, each as the texts of its columns in order of their names.
Keys = Mapping[tuple[str, str], Sequence[tuple[str, ...]]]


@dataclass(frozen=True)
class RepairScript:
    """SQL that repairs drift; ``unsupported`` says, by entity, why none could be derived."""

    sql: str
    unsupported: dict[str, str]


def build_script(
    mapping: MappingConfig, rows: Sequence[TenantRow], *, day: str, observation: str, in_flux: int,
    notes: Sequence[str], database: Mapping[str, str] | None = None, kinds: Collection[str] = tuple(DriftKind),
    keys: Keys | None = None,
) -> RepairScript:
    """Return the script that repairs the drift in ``rows``. No database is contacted.

    Args:
        mapping: the mapping of the observation.
        rows: the figures of its tenants; tenants with shortened names must be left out.
        day, observation, notes: for the header.
        in_flux: number of keys that it could not decide, which may be of any tenant, entity and kind.
        database: ``database`` and ``system_identifier`` of the observed database, if known.
        kinds: the kinds of drift to repair.
        keys: the keys to repair; None repairs all.
    """
    drifting = [row for row in rows if row.drift or row.transient]
    shapes, unsupported = _parse_targets(mapping)
    order = [name for name in _parents_first(shapes) if any(row.entity == name for row in drifting)]
    # Rows to which an unsupported entity may refer cannot be removed: its references cannot be counted.
    referrers = {name: other for name in order for other in unsupported
                 if may_read(mapping.entities[other].target, "target", shapes[name].base)}
    surplus = {row.entity for row in drifting if row.counts["unexpected"] or row.counts["duplicate"]}
    notes = [*notes, *(f"{name}: surplus rows stay, because {other} may refer to them and cannot be repaired itself."
                       for name, other in referrers.items() if name in surplus)]
    batches = list(_batches([row for row in drifting if row.entity in order]))
    to_list = {name: tenants for name in unsupported
               if (tenants := {row.tenant for row in drifting if row.entity == name})}
    parts = [template("header.sql").format(
        notes="".join(f"-- {note}\n" for note in notes), lock_timeout=_LOCK_TIMEOUT,
        statement_timeout=_STATEMENT_TIMEOUT, day=day, observation=observation,
    ).rstrip("\n") + "\n"]
    if batches or to_list:
        parts.append("SET client_encoding = 'UTF8';  -- the encoding of this file\n")
    for number, batch in enumerate(batches, start=1):
        names = sorted({row.tenant for row in batch})
        parts.append(template("begin_batch.sql").format(
            number=number, batches=len(batches), tenants=f"{len(names)} tenant{'s' if len(names) > 1 else ''}",
            lock_timeout=_LOCK_TIMEOUT, statement_timeout=_STATEMENT_TIMEOUT, settings=_SETTINGS,
            database=database_check(**database) if database else "",
            source_tables=", ".join(sorted({table.name for name in order
                                            for table in tables_of(mapping.entities[name].source, "source")})),
            target_tables=", ".join(sorted(_target_tables(shapes, order))),
        ))
        parts += _statements([
            EntitySteps(name, n, mapping.entities[name], shapes, array_literal(names),
                        _limits(name, batch, in_flux, kinds), keeps_rows=name in referrers,
                        keys=None if keys is None else [
                            (tenant, *key) for tenant in names for key in keys.get((tenant, name), ())])
            for n, name in enumerate(order, start=1)
            if keys is None or any((tenant, name) in keys for tenant in names)])
    if to_list:
        parts.append(
            f"\n-- The statements below only read.\nBEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;\n{_SETTINGS}\n")
        parts += [_list_drift(name, mapping.entities[name], unsupported[name], array_literal(sorted(tenants)))
                  for name, tenants in to_list.items()]
        parts.append("COMMIT;\n")
    return RepairScript("".join(parts), {name: unsupported[name] for name in to_list})


def _statements(steps: Sequence[EntitySteps]) -> Iterator[str]:
    """Yield the statements of one batch; ``steps`` are ordered parents first."""
    yield from (entity.check_target() for entity in steps)
    yield from (entity.create_views() for entity in steps)
    # Remove children before parents and add parents before children, so that every reference stays valid.
    long = [step for entity in reversed(steps) for step in entity.removals()]
    long += [step for entity in steps for step in entity.additions()]
    long += [entity.compare_checksum() for entity in steps]
    for step in long:
        yield template("give_way.sql")
        yield step
    views = ", ".join(view for entity in steps for view in entity.view_names())
    yield f"\nDROP VIEW {views};\nCOMMIT;\n"


def _limits(entity: str, batch: Sequence[TenantRow], in_flux: int, kinds: Collection[str]) -> dict[str, int]:
    """Return, by kind, how many keys of an entity a batch may change.

    A key that was being written while it was read counts as transient or in flux, whatever its drift is.
    """
    rows = [row for row in batch if row.entity == entity]
    return {kind: in_flux + sum(row.counts[kind] + row.transient for row in rows) if kind in kinds else 0
            for kind in DriftKind}


def _parse_targets(mapping: MappingConfig) -> tuple[dict[str, TargetShape], dict[str, str]]:
    """Return the inverted target of each supported entity, and the reason for each other one."""
    shapes, unsupported = {}, {}
    tenants = tenant_columns(mapping.entities.values())
    for name, entity in mapping.entities.items():
        try:
            tables_of(entity.source, "source")
            shape = shape_of(entity, tenants)
            _check_exclusive(name, shape, mapping)
        except UnsupportedMapping as reason:
            unsupported[name] = str(reason)
        else:
            shapes[name] = shape
    return shapes, unsupported


def _check_exclusive(name: str, shape: TargetShape, mapping: MappingConfig) -> None:
    """Raise UnsupportedMapping if the target's table is the target of another entity, or is read as a source.

    The rows of two entities in one table would be unexpected to each other.
    """
    for other, entity in mapping.entities.items():
        if other != name and shape.base.identity in base_identities(entity):
            raise UnsupportedMapping(f"its target's table {shape.base.name} is also the target of {other}")
        if may_read(entity.source, "source", shape.base):
            raise UnsupportedMapping(f"its target's table {shape.base.name} is also read as a source")


def _target_tables(shapes: Mapping[str, TargetShape], order: Sequence[str]) -> set[str]:
    """Return the tables to lock: those that are written or read, and those that refer to a written one."""
    read = set[str]().union(*(shapes[name].tables() for name in order))
    written = {shapes[name].base.identity for name in order}
    return read | {shape.base.name for shape in shapes.values()
                   if any(lookup.table.identity in written for lookup in shape.lookups)}


def _parents_first(shapes: Mapping[str, TargetShape]) -> list[str]:
    """Return the entities so that each follows those in which it looks up values; otherwise in the mapping's order."""
    entities = {shape.base.identity: name for name, shape in shapes.items()}
    ordered: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered or name in path:
            return
        for lookup in shapes[name].lookups:
            parent = entities.get(lookup.table.identity)
            if parent is not None:
                visit(parent, (*path, name))
        ordered.append(name)

    for name in shapes:
        visit(name, ())
    return ordered


def _batches(rows: Sequence[TenantRow]) -> Iterator[list[TenantRow]]:
    """Yield the rows in batches of whole tenants."""
    by_tenant: dict[str, list[TenantRow]] = {}
    for row in sorted(rows, key=lambda row: row.tenant):
        by_tenant.setdefault(row.tenant, []).append(row)
    batch: list[TenantRow] = []
    for tenant_rows in by_tenant.values():
        if batch and sum(row.drift + row.transient for row in (*batch, *tenant_rows)) > BATCH_KEYS:
            yield batch
            batch = []
        batch += tenant_rows
    if batch:
        yield batch


def _list_drift(name: str, entity: Entity, reason: str, tenants: str) -> str:
    columns = (TENANT_COLUMN, *entity.key, *entity.compare)
    return template("list_drift.sql").format(
        entity=name, reason=reason, source=select_side(entity.source, columns, tenants),
        target=select_side(entity.target, columns, tenants),
        order=", ".join((*(quoted(column) for column in columns[: 1 + len(entity.key)]), "only_in")),
    )
