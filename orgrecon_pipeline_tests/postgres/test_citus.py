"""Citus is read only if its nodes get the settings of the comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import ScanSettings
from orgrecon_pipeline.domain.reasons import ReasonCode
from orgrecon_pipeline.postgres.citus import REQUIRED, require_settings
from orgrecon_pipeline.postgres.deadline import Deadline
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline_tests.support.compare import endpoints


@pytest.mark.parametrize(("version", "change", "message"), [
    ("10.2-5", {}, "only Citus 11 and later lock the tables on all nodes"),
    ("13.2-1", {"citus.propagate_set_commands": "none"}, "citus.propagate_set_commands is 'none' and must be local"),
    ("13.2-1", {"citus.propagate_set_commands": None}, "citus.propagate_set_commands is unknown"),
    ("13.2-1", {"citus.max_adaptive_executor_pool_size": "16"}, "citus.max_adaptive_executor_pool_size is '16'"),
    ("13.2-1", {"citus.multi_shard_modify_mode": "parallel"}, "citus.multi_shard_modify_mode is 'parallel'"),
    ("13.2-1", {"citus.use_secondary_nodes": "always"}, "citus.use_secondary_nodes is 'always' and must be never"),
])
def test_citus_with_other_settings_is_refused(version: str, change: dict[str, str | None], message: str) -> None:
    values = {**REQUIRED, **change}
    with pytest.raises(CannotDecide, match=message) as refused:
        require_settings(version, [{"name": name, "setting": value} for name, value in values.items() if value])
    assert refused.value.reason.code is ReasonCode.CITUS_SETTINGS


def test_citus_with_the_required_settings_is_read() -> None:
    require_settings("13.2-1", [{"name": name, "setting": value} for name, value in REQUIRED.items()])


def test_citus_whose_library_is_not_loaded_is_refused(
    empty_database: str, connect: Callable[[str], psycopg.Connection[Any]]
) -> None:
    """Distributed tables look empty then. The settings can be set, but nothing obeys them."""
    admin = connect(empty_database)
    admin.execute("SET allow_system_table_mods = on")
    admin.execute("INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion) "
                  "VALUES (99999, 'citus', 10, 11, false, '13.2-1')")
    session = Session(endpoints.one_database(empty_database).source, ScanSettings(), Deadline(60))
    try:
        with pytest.raises(CannotDecide, match="add citus to shared_preload_libraries"), session.transaction():
            pass
    finally:
        session.close()
