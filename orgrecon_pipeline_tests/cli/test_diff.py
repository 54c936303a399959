"""The command ``diff``: exit codes, output, and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orgrecon_pipeline_tests.support.cli.mapping import write_mapping
from orgrecon_pipeline_tests.support.cli.process import CommandResult, run

Command = Callable[..., CommandResult]
_IMPORTED = """
import atexit, sys
heavy = {'dagster', 'pandas', 'numpy', 'alembic', 'sqlalchemy', 'apprise', 'jinja2'}
atexit.register(lambda: print('imported:', *sorted(heavy & set(sys.modules)), file=sys.stderr))
"""


@pytest.fixture
def company(
    seeded_database: str, connect: Callable[[str], psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> psycopg.Connection[Any]:
    """A company without drift, named by ``DATABASE_URL``."""
    monkeypatch.setenv("DATABASE_URL", seeded_database)
    return connect(seeded_database)


def a_membership(company: psycopg.Connection[Any]) -> tuple[str, int, int]:
    """Return tenant, unit and user of the membership that the drift of a test is about."""
    row: Any = company.execute("SELECT tenant_id, team_id, user_id FROM public.team_members LIMIT 1").fetchone()
    return row


def lose_role(company: psycopg.Connection[Any]) -> tuple[str, int, int]:
    """Change the role of one membership on the source, and return the membership."""
    tenant, unit, user = a_membership(company)
    company.execute("UPDATE public.team_members SET role = 'promoted' "
                    "WHERE (tenant_id, team_id, user_id) = (%s, %s, %s)", (tenant, unit, user))
    return tenant, unit, user


def test_equal_tenant_exits_with_zero(company: psycopg.Connection[Any], orgrecon: Command, tmp_path: Path) -> None:
    tenant, _, _ = a_membership(company)
    result = orgrecon("diff", "--tenant", tenant)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(f"EQUAL  tenant {tenant}  (org-v23)\nAll rows are equal (")
    assert "not evidence" in result.out
    assert list(tmp_path.iterdir()) == [], "neither a ledger nor a report is written"


def test_different_tenant_exits_with_one_and_lists_its_keys(
    company: psycopg.Connection[Any], orgrecon: Command, tmp_path: Path
) -> None:
    tenant, unit, user = lose_role(company)
    result = orgrecon("diff", "--tenant", tenant, "--key", f"unit_id={unit}", "--key", f"user_id={user}")
    assert result.code == 1, result
    assert f"unit_id={unit}, user_id={user}" in result.out
    assert "promoted" not in result.out
    assert "role=promoted → " in orgrecon("diff", "--tenant", tenant, "--values").out
    assert orgrecon("diff", "--tenant", tenant, "--entity", "org_units").code == 0
    assert list(tmp_path.iterdir()) == []


def test_json_is_one_document(
    company: psycopg.Connection[Any], orgrecon: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGRECON_ENVIRONMENT", "staging")
    tenant, unit, user = lose_role(company)
    result = orgrecon("diff", "--tenant", tenant, "--format", "json")
    document = json.loads(result.out)
    assert (result.code, result.err) == (1, "")
    assert document["evidence"] is False
    assert (document["migration"], document["environment"]) == ("org-v23", "staging")
    assert (document["tenant"], document["result"], document["keys_not_listed"]) == (tenant, "different", 0)
    assert document["entities"]["org_unit_memberships"]["mismatched"] == 1
    assert document["mismatched_columns"] == {"org_unit_memberships": {"role": 1}}
    assert document["keys"] == [{
        "entity": "org_unit_memberships", "kind": "mismatched", "key": {"unit_id": str(unit), "user_id": str(user)},
        "columns": ["role"], "values": None, "show": None}]


def test_undecided_comparison_exits_with_three(company: psycopg.Connection[Any], orgrecon: Command) -> None:
    nobody = orgrecon("diff", "--tenant", "nobody", "--format", "json")
    assert (nobody.code, json.loads(nobody.out)["result"]) == (3, "not_decided")
    company.execute("DROP TABLE public.org_unit_memberships")
    broken = orgrecon("diff", "--tenant", "acme", "--format", "json")
    assert (broken.code, json.loads(broken.out)["result"]) == (3, "not_decided")
    assert "a table does not exist" in json.loads(broken.out)["reason"]


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "Missing option '--tenant'"),
    (["--tenant", "a", "--key", "unit_id"], "--key 'unit_id' has no value: write it as --key column=value."),
    (["--tenant", "a", "--key", "unit_id=1", "--key", "unit_id=2"], "--key names 'unit_id' twice: remove one."),
    (["--tenant", "a", "--key", "user_id=1", "--entity", "org_units"],
     "no entity has 'user_id' in its key: org_units has unit_id."),
    (["--tenant", "a", "--entity", "units"],
     "'units' is not an entity of the mapping: use org_units or org_unit_memberships."),
    (["--tenant", "a", "--key", "unit_id=x"], "'x' is not a value of org_units.unit_id, which is bigint: correct it."),
    (["--tenant", "a", "--limit", "0"], "Invalid value for '--limit'"),
])
def test_impossible_request_exits_with_two_and_one_line(
    company: psycopg.Connection[Any], orgrecon: Command, arguments: list[str], message: str
) -> None:
    result = orgrecon("diff", *arguments)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1), result
    assert message in result.err


def test_context_columns_that_cannot_be_read_are_warned_about(
    company: psycopg.Connection[Any], orgrecon: Command, tmp_path: Path
) -> None:
    write_mapping(tmp_path / "orgrecon.yaml")
    mapping = json.loads((tmp_path / "orgrecon.yaml").read_text("utf-8"))
    memberships = mapping["entities"]["org_unit_memberships"]
    memberships["show"] = ["seen"]
    memberships["source"][0]["columns"]["seen"] = "no_such_column"
    (tmp_path / "orgrecon.yaml").write_text(json.dumps(mapping), "utf-8")
    result = orgrecon("diff", "--tenant", a_membership(company)[0])
    assert result.code == 0
    assert "warning: org_unit_memberships.source: the context columns cannot be read" in result.err
    doctor = orgrecon("doctor")
    assert doctor.code == 0
    assert "the context columns cannot be read" in doctor.out


def test_hostile_names_do_not_control_the_terminal(company: psycopg.Connection[Any], orgrecon: Command) -> None:
    name = "\x1b[2J\u202e"
    company.execute("INSERT INTO public.teams (tenant_id, id, name) VALUES (%s, 990, %s)", (name, name))
    result = orgrecon("diff", "--tenant", name)
    assert result.code == 1
    assert "\x1b" not in result.out
    assert "\u202e" not in result.out


def test_nothing_slow_is_imported(company: psycopg.Connection[Any], seeded_database: str, tmp_path: Path) -> None:
    tenant, _, _ = lose_role(company)
    result = run(tmp_path, "diff", "--tenant", tenant, program=_IMPORTED, fresh=True, DATABASE_URL=seeded_database)
    assert (result.code, result.err) == (1, "imported:\n")
