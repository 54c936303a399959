"""``orgrecon init`` on unknown schemas: what it proposes, and that a comparison then finds known drift."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline.cli.app import main
from orgrecon_pipeline.compare.engine import compare
from orgrecon_pipeline.config.mapping_file import parse_mapping
from orgrecon_pipeline.domain.drift.kinds import DriftKind
from orgrecon_pipeline.domain.errors import ConfigurationError
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline_tests.support.compare.endpoints import two_databases
from orgrecon_pipeline_tests.support.proposal.schemas import SCHEMAS, Schema

Connect = Callable[[str], psycopg.Connection[Any]]


class Proposed:
    """A schema in real databases, and what ``orgrecon init`` proposed for it."""

    def __init__(self, schema: Schema, source: str, target: str, directory: Path) -> None:
        self.schema, self.source, self.target, self.directory = schema, source, target, directory
        self.document: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text of the file."""
        return (self.directory / "orgrecon.yaml").read_text("utf-8")

    @property
    def mapping(self) -> MappingConfig:
        """The mapping in the file, without waiting for a second write."""
        mapping = parse_mapping(self.text, "orgrecon.yaml")
        scan = mapping.scan.model_copy(update={"settle_seconds": 0.0, "rechecks": 1})
        return mapping.model_copy(update={"scan": scan})

    def require_all_columns(self, entity: dict[str, Any]) -> None:
        """Require that each column of both tables is either compared or listed as not compared."""
        left_out = {(column["side"], column["column"]) for column in entity["not_compared"]}
        for side, database in (("source", self.source), ("target", self.target)):
            [relation] = getattr(self.mapping.entities[entity["entity"]], side)
            table, _, joins = relation.from_.partition(" t ")
            text = f"{joins} {' '.join(relation.columns.values())}"
            with psycopg.connect(database) as connection:
                rows = connection.execute("SELECT attname, quote_ident(attname) FROM pg_attribute "
                                          "WHERE attrelid = %s::regclass AND attnum > 0", (table,)).fetchall()
            for name, quoted in rows:
                expression = re.escape(f"t.{quoted}" if joins else quoted)
                used = re.search(rf"(?<![\w.\"]){expression}(?![\w\"])", text) is not None
                assert used is not ((side, name) in left_out), (side, name)

    def counts(self) -> Counter[tuple[str, str]]:
        """Compare, and return the number of drifting keys by entity and kind."""
        comparison = compare(self.mapping, two_databases(self.source, self.target))
        return Counter({(name, kind.value): number for name, totals in comparison.totals.items() for kind in DriftKind
                        if (number := getattr(totals, kind.value))})


@pytest.fixture
def propose(new_database: Callable[[], str], connect: Connect, monkeypatch: pytest.MonkeyPatch,
            capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[[str], Proposed]:
    """``propose(name)`` creates a schema and runs the command on it."""
    monkeypatch.chdir(tmp_path)

    def run(name: str) -> Proposed:
        schema = SCHEMAS[name]
        source = new_database()
        target = new_database() if schema.target_sql else source
        connect(source).execute(schema.sql.encode())
        monkeypatch.setenv("DATABASE_URL", source)
        if schema.target_sql:
            connect(target).execute(schema.target_sql.encode())
            monkeypatch.setenv("ORGRECON_TARGET_DATABASE_URL", target)
        proposed = Proposed(schema, source, target, tmp_path)
        with pytest.raises(SystemExit) as ended:
            main(["init", "--format", "json", *schema.options])
        out = capsys.readouterr()
        assert ended.value.code == 0, out.err
        proposed.document = json.loads(out.out)
        return proposed

    return run


@pytest.mark.parametrize("name", SCHEMAS)
def test_proposal_is_the_expected_mapping_and_finds_exactly_the_known_drift(
    name: str, propose: Callable[[str], Proposed]
) -> None:
    proposed = propose(name)
    document, schema = proposed.document, proposed.schema
    assert [todo["entity"] for todo in document["todo"]] == schema.todo
    assert {entity["entity"] for entity in document["entities"]} == schema.entities.keys()
    assert document["ready"] is not bool(schema.todo), document["doctor"]
    assert {table["table"]: table["reason"] for table in document["not_compared"]}.items() >= schema.left_out.items()
    if schema.tenants:
        assert tuple(document["tenants"].values()) == schema.tenants
    for entity in document["entities"]:
        expected = schema.entities[entity["entity"]]
        assert (entity["source"], entity["target"]) == (expected.source, expected.target)
        assert (entity["key"], entity["compare"]) == (expected.key, expected.compare)
        assert expected.confidence in ("", entity["confidence"])
        assert (entity["where"]["source"], entity["where"]["target"]) == expected.where
        left_out = {f"{column['side']}.{column['column']}": column["reason"] for column in entity["not_compared"]}
        assert left_out.items() >= expected.left_out.items()
        if not schema.todo:  # the mapping is refused until then
            proposed.require_all_columns(entity)
        for (side, column), text in expected.contains.items():
            [relation] = getattr(proposed.mapping.entities[entity["entity"]], side)
            assert text in (relation.from_ if column == "from" else relation.columns[column])
    for todo in schema.todo:
        with pytest.raises(ConfigurationError, match=rf"entities\.{schema.todo[0]} is still TODO"):
            parse_mapping(proposed.text, "orgrecon.yaml")
        assert f"  {todo}: \"TODO: " in proposed.text
    if schema.drift:
        require_known_drift(proposed)


def require_known_drift(proposed: Proposed) -> None:
    """Require that a comparison finds nothing, and after each statement exactly the drift that it causes."""
    before: Counter[tuple[str, str]] = Counter()
    assert proposed.counts() == before
    for statement, (entity, kind, number) in proposed.schema.drift.items():
        database = proposed.target if statement.startswith("target:") else proposed.source
        with psycopg.connect(database) as connection:
            connection.execute(statement.removeprefix("target:").encode())
        after = proposed.counts()
        assert after - before == {(entity, kind): number}, statement
        before = after
