"""Finding, validating and hashing the mapping file."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from orgrecon_pipeline.config.mapping_file import default_mapping, load_mapping, parse_mapping
from orgrecon_pipeline.domain.errors import ConfigurationError

DEFAULT = resources.files("orgrecon_pipeline.config").joinpath("default_mapping.yaml").read_text(encoding="utf-8")

BROKEN = [
    # Text of the default mapping, its replacement, the line of the error, and a part of the message.
    ("key: [unit_id]", "key: []", 9, "entities.org_units.key: is empty: name at least one"),
    ("key: [unit_id] ", "key: unit_id ", 9, "entities.org_units.key: must be a list"),
    ("compare: [role]", "compare: [rolle]", 19, "source: columns lacks rolle: map it"),
    ("compare: [role]", "compare: [role, role]", 21, "names role twice"),
    ("compare: [role]", "compare: [user_id]", 19, "user_id is already in the key"),
    ("key: [unit_id, user_id]", "key: [tenant_id, unit_id, user_id]", 19, "tenant_id is part of every key"),
    ("compare: [role]", "compare: [role, tenant_id]", 19, "compare: tenant_id is part of every key"),
    ("where: deleted_at", "were: deleted_at", 14, "is an unknown field: did you mean where?"),
    ("from: public.teams", "frm: public.teams", 12, "is an unknown field: did you mean from?"),
    ("window_days: 7", "window_days: seven", 28, "gate.window_days: must be a whole number"),
    ("window_days: 7", "window_days: 0", 28, "gate.window_days: must be greater than or equal to 1"),
    ("min_live_days: 0", "min_live_days: 8", 28, "the gate could never open"),
    ("same_day: latest", "same_day: best", 28, "gate.same_day: must be 'latest' or 'worst'"),
    ("version: 1", "version: 2", 3, "version: must be 1"),
    ("version: 1", "version: true", 3, "version: must be 1"),
    ("kind: \"'team'\"", "kind: 3", 13, "columns.kind: must be text: put it in quotes"),
    ("name: u.name", "name: ''", 17, "columns.name: is empty"),
    ("  org_unit_memberships:\n", "  OrgUnit:\n", 19, "is not an identifier"),
    ("shards:   []", "shards: [{name: a, source_env: 'postgres://u:hunter2@h/d', target_env: X}]", 31,
     "is not the name of an environment variable"),
    ("shards:   []", "shards:\n" + "".join(f"  - {{name: {x}, source_env: A, target_env: B}}\n" for x in "aba"), 34,
     "shards.2.name: a is also the name of another shard: rename one of them"),
    ("settle_seconds: 5", "settle_seconds: -5", 29, "scan.settle_seconds: must be greater than or equal to 0"),
    ("settle_seconds: 5", "settle_seconds: .nan", 29, "scan.settle_seconds: must be a finite number"),
    ("settle_seconds: 5", "heartbeat: public.heartbeat", 29, "scan.heartbeat: must be a block of name: value lines"),
    ("settle_seconds: 5", "heartbeat: {from: public.heartbeat}", 29, "scan.heartbeat.at: is missing: add it"),
    ("settle_seconds: 5", "heartbeat: {from: a.b, at: ''}", 29, "scan.heartbeat.at: is empty: write an SQL expression"),
    ("settle_seconds: 5", "heartbeat: {from: a.b, column: c}", 29,
     "column: is an unknown field: the fields here are from, at"),
    ("settle_seconds: 5", "heartbeats: {from: a.b, at: c}", 29, "is an unknown field: did you mean heartbeat?"),
    ("    key: [unit_id, user_id]", "    key: [unit_id, user_id]\n    key: [a]", 21, "found duplicate key"),
    ("version: 1", "version: 1\n\t- x", 4, "correct the YAML"),
    ("    key: [unit_id, user_id]", "    key: [unit_id, user_id]\n    show: [updated_at, seen_at]", 19,
     "show: no relation maps seen_at, updated_at: map it on a side that has it"),
    ("    key: [unit_id, user_id]", "    key: [unit_id, user_id]\n    show: [role, tenant_id]", 19,
     "show: role, tenant_id is already compared: remove it from show"),
    ("entities:", "entitys:", 7, "is an unknown field: did you mean entities?"),
]


@pytest.mark.parametrize(("text", "replacement", "line", "message"), [
    ("key: [unit_id] ", "key: TODO ", 9, "entities.org_units.key is still TODO: decide it"),
    ("key: [unit_id] ", "key: [TODO] ", 9, "entities.org_units.key.0 is still TODO: decide it"),
    ("where: deleted_at IS NULL", "where: 'TODO: which rows\n\n are deleted?'", 14,
     "where is still TODO (which rows are deleted?): decide it"),
    ("from: public.tenants", "from: TODO", 5, "tenants.from is still TODO: decide it"),
])
def test_todo_in_a_mapping_is_refused_with_its_line_and_question(
    text: str, replacement: str, line: int, message: str
) -> None:
    assert text in DEFAULT
    with pytest.raises(ConfigurationError, match=rf"orgrecon\.yaml:{line}: ") as error:
        parse_mapping(DEFAULT.replace(text, replacement, 1), "orgrecon.yaml")
    assert message in str(error.value)


@pytest.mark.parametrize("where", ["todo IS NULL", '"TODO" IS NULL', "kind <> 'TODO'"])
def test_name_that_contains_todo_is_no_open_question(where: str) -> None:
    mapping = parse_mapping(DEFAULT.replace("where: deleted_at IS NULL", f"where: |\n          {where}", 1), "f")
    assert mapping.entities["org_units"].source[0].where == where


@pytest.mark.parametrize(("text", "replacement", "line", "message"), BROKEN)
def test_invalid_mapping_error_names_file_line_field_and_fix(
    text: str, replacement: str, line: int, message: str
) -> None:
    assert text in DEFAULT
    with pytest.raises(ConfigurationError) as error:
        parse_mapping(DEFAULT.replace(text, replacement, 1), "orgrecon.yaml")
    actual = str(error.value)
    assert actual.startswith(f"orgrecon.yaml:{line}: "), actual
    assert message in actual
    assert "\n" not in actual
    assert "?." not in actual
    assert "hunter2" not in actual


@pytest.mark.parametrize("text", [
    "", "[]", "3", "version: 1", "&a [*a]", "a: &x {<<: *x}", "a: &x {b: *x}", "\x00", "{" * 300,
    "!!python/name:os.system x",
])
def test_text_that_is_not_a_mapping_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^m\.yaml:\d+: "):
        parse_mapping(text, "m.yaml")


def test_digest_ignores_order_comments_and_scan_and_gate_settings() -> None:
    digest = default_mapping().digest
    same = DEFAULT.replace("compare: [name, kind, parent_id]", "compare: [parent_id, name, kind]  # in any order")
    same = same.replace("key: [unit_id, user_id]", "key: [user_id, unit_id]")
    same = same.replace("{tenant_id: tenant_id, unit_id: team_id,", "{unit_id: team_id, tenant_id: tenant_id,")
    same = same.replace("settle_seconds: 5", "settle_seconds: 9").replace("window_days: 7", "window_days: 9")
    same = same.replace("rechecks: 3", "rechecks: 3, heartbeat: {from: public.heartbeat, at: updated_at}")
    assert parse_mapping(same, "m").scan.heartbeat
    assert same.count("#") > DEFAULT.count("#")
    assert parse_mapping(same, "m").digest == digest


@pytest.mark.parametrize(("text", "replacement"), [
    ("where: deleted_at IS NULL", "where: deleted_at IS NOT NULL"),
    ("compare: [role]", "compare: []"),
    ("role: m.role", "role: lower(m.role)"),
    ("from: public.tenants", "from: public.customers"),
    ("shards:   []", "shards: [{name: eu, source_env: A, target_env: A}]"),
])
def test_digest_changes_with_what_is_compared(text: str, replacement: str) -> None:
    assert parse_mapping(DEFAULT.replace(text, replacement, 1), "m").digest != default_mapping().digest


def test_mapping_is_taken_from_option_then_environment_then_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_mapping(None, {}) == default_mapping()
    for name, window in (("orgrecon.yaml", 8), ("by_environment.yaml", 9), ("by_option.yaml", 10)):
        (tmp_path / name).write_text(DEFAULT.replace("window_days: 7", f"window_days: {window}"), encoding="utf-8")
    environ = {"ORGRECON_MAPPING": "by_environment.yaml"}
    assert load_mapping(None, {}).gate.window_days == 8
    assert load_mapping(None, environ).gate.window_days == 9
    assert load_mapping("by_option.yaml", environ).gate.window_days == 10


@pytest.mark.parametrize("prepare", [
    lambda path: None,
    lambda path: path.mkdir(),
    lambda path: path.write_bytes(b"\xff\xfe"),
    lambda path: path.write_bytes(b" " * 2_000_000),
], ids=["absent", "directory", "not UTF-8", "huge"])
def test_unreadable_mapping_file_is_refused(prepare, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "m.yaml"
    prepare(path)
    with pytest.raises(ConfigurationError, match=r"^mapping .*m\.yaml: ") as error:
        load_mapping(str(path), {})
    assert "\n" not in str(error.value)
