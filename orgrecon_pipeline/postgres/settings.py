"""Settings of transactions that read a database."""

from __future__ import annotations

from math import ceil

from psycopg import sql

#: Settings that could otherwise change what a transaction reads, or how it converts values to text.
SETTINGS = {
    "search_path": "", "row_security": "off", "transform_null_equals": "off", "standard_conforming_strings": "on",
    "TimeZone": "UTC", "DateStyle": "ISO, YMD", "IntervalStyle": "iso_8601", "extra_float_digits": "1",
    "bytea_output": "hex", "array_nulls": "on", "quote_all_identifiers": "off", "lc_monetary": "C", "jit": "off",
}
#: Planner settings for statements that read every row. Where the planner underestimates the number of rows, it prefers
#: nested loops over an index, which take many times as long as a hash join.
NO_NESTED_LOOPS = {"enable_nestloop": "off"}
#: The work_mem for statements that group or sort many tenants, so that they need no temporary files, or that select
#: tenants by an index: in less memory, the bitmap of their rows has only pages, and the server checks every row there.
RAISED_WORK_MEM = "64MB"


def set_local(name: str, value: str | None = None) -> sql.Composed:
    """Return the statement that changes a setting until the transaction ends; without a value, to its default."""
    new = sql.SQL("DEFAULT") if value is None else sql.Literal(value)
    return sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), new)


def milliseconds(seconds: float) -> str:
    """Return a duration as the value of a setting."""
    # Rounded up: when the server cancels a statement because of the deadline, the deadline must have passed here too.
    return f"{max(1, ceil(seconds * 1000))}ms"
