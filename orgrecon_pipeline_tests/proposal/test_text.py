"""Names as the proposal reads and writes them: words of names, and scalars and comments of YAML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orgrecon_pipeline.proposal.catalog.names import (
    column_similarity,
    generation,
    is_copy,
    kept_words,
    points_to,
    polymorphic,
    stem,
)
from orgrecon_pipeline.proposal.render import comment, scalar

# PostgreSQL stores every character of Unicode but NUL.
NAMES = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1, max_size=63)


@given(NAMES)
def test_name_in_a_mapping_is_read_as_it_was_written(name: str) -> None:
    assert YAML(typ="rt").load(f"key: {scalar(name)}\n") == {"key": name}


@pytest.mark.parametrize("name", [
    "no", "Yes", "null", "~", "on", "y", "1e3", "0x1", "a: b", "a #b", "- a", "{a}", "%a"])
def test_word_with_a_meaning_in_yaml_is_quoted(name: str) -> None:
    assert scalar(name) == f'"{name}"'


@given(NAMES)
def test_name_in_a_comment_cannot_end_the_comment(name: str) -> None:
    assert YAML(typ="rt").load(f"{comment(name, 4)}\nkey: 1\n") == {"key": 1}


@pytest.mark.parametrize(("name", "words", "side", "copy"), [
    ("teams", ("team",), 0, False), ("legacy_teams", ("team",), -1, False), ("addresses", ("address",), 0, False),
    ("tbl_Users", ("user",), 0, False), ("org_unit_v23", ("org", "unit"), 1, False),
    ("TeamMembers_v2", ("team", "member"), 1, False),
    ("Möbel", ("möbel",), 0, False), ("teams_20240101", ("team",), 0, True), ("old", ("old",), -1, False),
    ("users_backup", ("user", "backup"), 0, True),
])
def test_words_of_a_table_say_what_it_holds_and_of_which_generation_it_is(
    name: str, words: tuple[str, ...], side: int, copy: bool
) -> None:
    assert (stem(name), generation("public", name), is_copy(name)) == (words, side, copy)


@pytest.mark.parametrize(("name", "kept"), [
    ("teams_old", ("team",)), ("OldTeams", ("team",)), ("team_2023", ("team",)), ("teams", ()), ("teams_v1", ()),
    ("goals_20", ()), ("old", ())])
def test_words_of_a_kept_table_are_those_of_its_original(name: str, kept: tuple[str, ...]) -> None:
    assert kept_words(name) == kept


@pytest.mark.parametrize(("columns", "expected"), [
    (["id", "owner_type", "owner_id"], ("owner_type", "owner_id")),
    (["content_type_id", "object_id"], ("content_type_id", "object_id")), (["type", "id"], None),
    (["owner_type", "other_id"], None)])
def test_reference_to_rows_of_several_tables_is_recognised(
    columns: list[str], expected: tuple[str, str] | None
) -> None:
    assert polymorphic(columns) == expected


@pytest.mark.parametrize(("column", "kind"), [
    ("legacy_id", "old"), ("legacy_team_id", "named"), ("team_id", "plain"), ("legacy_user_id", ""), ("id", "")])
def test_identifier_of_another_table_is_recognised_by_its_name(column: str, kind: str) -> None:
    assert points_to(column, "teams") == kind


@pytest.mark.parametrize(("first", "second", "alike"), [
    ("name", "name", 1.0), ("team_name", "name", 0.9), ("createdAt", "created_at", 0.9), ("title", "name", 0.7),
    ("name", "kind", 0.0)])
def test_similar_columns_are_recognised_by_their_names(first: str, second: str, alike: float) -> None:
    assert column_similarity(first, "teams", second, "org_units") == alike
