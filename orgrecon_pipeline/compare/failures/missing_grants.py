"""The GRANT that is missing when the server refuses a statement of a comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orgrecon_pipeline.compare.inspection import mapped_statements
from orgrecon_pipeline.domain.errors import CannotDecide
from orgrecon_pipeline.domain.mapping.model import MappingConfig
from orgrecon_pipeline.postgres.errors import PermissionDenied
from orgrecon_pipeline.postgres.session import Session
from orgrecon_pipeline.postgres.sql_files import load_sql

# What every statement needs is denied before the catalog can be asked. Then the message has to do; its language varies.
_IN_CATALOG = (
    (re.compile(r"permission denied for (?:table|view) (\w+)"), "SELECT ON pg_catalog.{}"),
    (re.compile(r"permission denied for function (\w+)"), "EXECUTE ON FUNCTION pg_catalog.{}"),
    (re.compile(r"permission denied for schema (pg_catalog)"), "USAGE ON SCHEMA {}"),
)


def name_missing_grant(
    sessions: Mapping[str, Session], mapping: MappingConfig, failure: PermissionDenied, *, show_role: bool
) -> CannotDecide:
    """Return an error that names the GRANT without which a statement failed; ``failure`` if the catalog does not tell.

    ``show_role`` names the role in it. Reports do not, because it is a part of the DSN.
    """
    for session in dict.fromkeys(sessions.values()):
        sides = tuple(side for side, of_side in sessions.items() if of_side is session)
        # A schema that the role may not use, or a function, is known before the mapping can be analysed.
        for analysed in (False, True):
            try:
                grant = _missing_grant(session, mapping if analysed else None, sides, failure.message, show_role)
            except PermissionDenied as denied:
                grant = _grant_in_catalog(denied.message)
            except CannotDecide:
                break
            if grant:
                return CannotDecide(f"{failure.action}: the role lacks a permission: run {grant}",
                                    failure.reason.code, action=failure.action, sqlstate=failure.sqlstate)
    return failure


def _missing_grant(
    session: Session, mapping: MappingConfig | None, sides: tuple[str, ...], message: str, show_role: bool
) -> str:
    """Return the GRANT that helps against a message of the server; empty if none is known."""
    with session.transaction():
        if mapping is not None:
            for subject, _, select, _ in mapped_statements(mapping, sides):
                session.parse_tree(select, subject)
        rows = session.query(load_sql("compare/sql/missing_grants.sql"), "reading the privileges", {"message": message})
    if not rows or not rows[0]["named"]:
        return ""
    first = rows[0]
    grantee = f"the owner of {first['view']}" if first["view"] else "the role"
    alike = [row["object"] for row in rows if row["analysed"] and not row["view"]]
    objects = ", ".join(dict.fromkeys(alike)) if first["object"] in alike and not first["view"] else first["object"]
    return f"GRANT {first['privilege']} {objects} TO {first['role'] if show_role else grantee}"


def _grant_in_catalog(message: str) -> str:
    matches = ((pattern.match(message), privilege) for pattern, privilege in _IN_CATALOG)
    return next((f"GRANT {privilege.format(match[1])} TO the role" for match, privilege in matches if match), "")
