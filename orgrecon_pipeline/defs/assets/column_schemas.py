"""Columns of the tables behind ``tenant_drift`` and ``daily_summary``, which Dagster shows in its catalog."""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from orgrecon_pipeline.domain.drift.kinds import DriftKind

_ROWS = (
    dg.TableColumn("source_rows", "integer", "Rows of the source"),
    dg.TableColumn("target_rows", "integer", "Rows of the target"),
    *(dg.TableColumn(kind.value, "integer", f"Keys that are {kind.meaning}") for kind in DriftKind),
    dg.TableColumn("transient", "integer", "Keys that differed and agreed when they were read again; not drift"),
)


def _schema(*columns: dg.TableColumn, last: tuple[dg.TableColumn, ...] = ()) -> Mapping[str, object]:
    return {"dagster/column_schema": dg.TableSchema(columns=[*columns, *_ROWS, *last])}


#: One row per tenant and entity.
TENANT_DRIFT = _schema(dg.TableColumn("tenant", "text", "The tenant that owns the rows"),
                       dg.TableColumn("entity", "text", "The kind of row that is compared"),
                       last=(dg.TableColumn("first_seen", "date", "First day of the oldest drift of these rows"),))

#: One row per entity.
DAILY_SUMMARY = _schema(dg.TableColumn("entity", "text", "The kind of row that is compared"))
