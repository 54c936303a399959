"""Values of every type of PostgreSQL."""

from __future__ import annotations

#: Creates the types of the schema public.
CREATE_TYPES = """
    CREATE DOMAIN public.small AS integer CHECK (VALUE < 9);
    CREATE TYPE public.label AS ENUM ('a', 'A', '1');
    CREATE TYPE public.other_label AS ENUM ('1', 'A', 'b');
    CREATE TYPE public.pair AS (a integer, b text);
    CREATE TYPE public.other_pair AS (c integer, d text)"""

#: By type: literals of values that all differ. Those of one meaning, such as the number one, are in MEANINGS, too.
VALUES: dict[str, list[str]] = {
    "smallint": ["0", "1", "-32768", "32767"],
    "integer": ["0", "1", "16777217", "2147483647"],
    "bigint": ["0", "1", "9007199254740993", "90071992547409921"],
    "numeric": ["0", "1", "1.4", "0.1", "0.10000000000000001", "1e30", "NaN"],
    "real": ["0", "1", "0.1", "0.10000001", "16777216", "3e38"],
    "double precision": ["0", "1", "0.1", "0.1000000000000001", "0.10000000149011612", "1e300", "9007199254740993"],
    "money": ["0", "1", "1.01", "-92233720368547758.08"],
    "boolean": ["false", "true"],
    "bit(3)": ["000", "001", "100", "111"],
    "bit varying": ["", "1", "01", "001", "0010"],
    "oid": ["0", "1", "4294967295"], "xid": ["0", "1", "4294967295"], "cid": ["0", "1", "7"],
    "xid8": ["0", "1", "18446744073709551615"],
    "regclass": ["pg_class", "pg_type", "1"], "regtype": ["integer", "text", "1"], "regproc": ["pi", "now", "1"],
    "regprocedure": ["pi()", "now()", "1"], "regoper": ["^@", "1"], "regoperator": ["+(integer,integer)", "1"],
    "regrole": ["postgres", "1"], "regnamespace": ["pg_catalog", "1"], "regconfig": ["simple", "1"],
    "regdictionary": ["simple", "1"], "regcollation": ['"C"', "1"], "regdatabase": ["postgres", "1"],
    "date": ["2024-01-01", "2024-01-02", "infinity"],
    "timestamp without time zone": ["2024-01-01", "2024-01-01 00:00:00.000001", "infinity"],
    "timestamp with time zone": ["2024-01-01 00:00+00", "2024-01-01 00:00+01", "2024-01-01 17:30+00"],
    "time without time zone": ["00:00", "24:00", "00:00:00.000001"],
    "time with time zone": ["00:00+00", "01:00+01", "00:00:00.000001+00"],
    "interval": ["0", "1 day", "1 month", "00:00:00.000001"],
    "text": ["", "a", "a ", "A", "1", "true", "2024-01-01"],
    "character(10)": ["", "a", "A", "ab", "1"], "name": ["", "a", "a ", "1"], '"char"': ["", "a", "A", "1"],
    "uuid": ["00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000001"],
    "bytea": ["", "\\x00", "\\x0001", "\\x00000000000000000000000000000001"],
    "inet": ["10.0.0.1", "10.0.0.1/8", "10.0.0.0/8", "::1"], "cidr": ["10.0.0.1", "10.0.0.0/8", "10.0.0.0/16"],
    "macaddr": ["08:00:2b:01:02:03", "08:00:2b:01:02:04"],
    "macaddr8": ["08:00:2b:ff:fe:01:02:03", "08:00:2b:01:02:03:04:05"],
    "json": ['{"a": 1}', '{"a": 2}', "[]"], "jsonb": ['{"a": 1}', '{"a": 2}', "[]"],
    "jsonpath": ["$.a", "$.b"], "tsvector": ["a b", "a"], "tsquery": ["a & b", "a"],
    "pg_lsn": ["0/0", "0/1"], "pg_snapshot": ["1:2:", "1:3:"], "txid_snapshot": ["1:2:", "1:3:"],
    "tid": ["(0,1)", "(1,0)"],
    "point": ["(0,1)", "(1,0)"], "lseg": ["[(0,0),(1,1)]", "[(0,0),(1,2)]"], "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "box": ["(1,1),(0,0)", "(2,1),(1,0)"], "polygon": ["((0,0),(1,1))", "((0,0),(1,2))"],
    "line": ["{1,2,3}", "{2,4,6}"],
    "circle": ["<(0,0),1>", "<(1,0),1>"],
    "int4range": ["[1,5)", "[1,6)", "empty"], "int8range": ["[1,5)", "[1,6)", "empty"],
    "numrange": ["[1,5)", "[1,5]", "empty"], "daterange": ["[2024-01-01,2024-02-01)", "[2024-01-01,)"],
    "tsrange": ["[2024-01-01,2024-02-01)", "[2024-01-01,2024-02-01]"],
    "tstzrange": ["[2024-01-01 00:00+00,2024-02-01 00:00+00)", "[2024-01-01 00:00+01,)"],
    "int4multirange": ["{[1,5)}", "{[1,5),[7,9)}", "{}"], "int8multirange": ["{[1,5)}", "{[1,5),[7,9)}", "{}"],
    "nummultirange": ["{[1,5)}", "{[1,5]}", "{}"], "datemultirange": ["{[2024-01-01,2024-02-01)}", "{}"],
    "tsmultirange": ["{[2024-01-01,2024-02-01)}", "{}"],
    "tstzmultirange": ["{[2024-01-01 00:00+00,2024-02-01 00:00+00)}"],
    "integer[]": ["{}", "{1}", "{1,16777217}"], "bigint[]": ["{}", "{1}", "{9007199254740993}"],
    "numeric[]": ["{}", "{1}", "{1.4}"], "double precision[]": ["{}", "{1}", "{0.1}"],
    "text[]": ["{}", "{1}", "{a}", '{"a "}'],
    "varchar[]": ["{}", "{1}", "{a}"], "date[]": ["{2024-01-01}"], "timestamptz[]": ["{2024-01-01 00:00+00}"],
    "public.small": ["0", "1"], "public.small[]": ["{}", "{1}"], "public.label": ["a", "A", "1"],
    "public.other_label": ["1", "A", "b"], "public.label[]": ["{}", "{1}", "{a}"],
    "public.pair": ["(1,a)", "(2,)"], "public.other_pair": ["(1,a)", "(3,)"],
}
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision", "oid")
_DIGITS = ("smallint", "integer", "bigint", "oid", "xid", "cid", "xid8")
_TEXTS = ("text", "character(10)", "name", '"char"')
_ARRAYS = ("integer[]", "bigint[]", "numeric[]", "double precision[]", "public.small[]")

#: Literals that mean the same in several types, so that following the advice must make them equal.
MEANINGS: list[dict[str, str]] = [
    dict.fromkeys((*_NUMBERS, "public.small"), "1"), dict.fromkeys(_DIGITS, "1"),
    {**dict.fromkeys(("smallint", "integer", "bigint", "numeric", "real", "double precision", "money"), "1"),
     "boolean": "true"},
    {**dict.fromkeys(("smallint", "integer", "bigint", "numeric"), "1"), "bit(3)": "001", "boolean": "true"},
    *(dict.fromkeys((kind, text), "1") for text in _TEXTS
      for kind in (*_NUMBERS, *_DIGITS, *_TEXTS, "public.label", "public.other_label", "bit varying")),
    dict.fromkeys(_ARRAYS, "{1}"),
    *(dict.fromkeys((kind, "text[]"), "{1}") for kind in (*_ARRAYS, "varchar[]", "public.label[]")),
    {"date": "2024-01-01", "timestamp without time zone": "2024-01-01",
     "timestamp with time zone": "2024-01-01 00:00+00"},
    {"date[]": "{2024-01-01}", "timestamptz[]": "{2024-01-01 00:00+00}"}, {"text": "2024-01-01", "date": "2024-01-01"},
    {"time without time zone": "00:00", "time with time zone": "00:00+00"},
    {"time without time zone": "00:00", "interval": "0"},
    {"bit(3)": "001", "bit varying": "001"}, {"text": "10.0.0.1", "inet": "10.0.0.1"},
    {"inet": "10.0.0.0/8", "cidr": "10.0.0.0/8", "text": "10.0.0.0/8"},
    {"macaddr": "08:00:2b:01:02:03", "macaddr8": "08:00:2b:ff:fe:01:02:03"},
    {"uuid": "00000000-0000-0000-0000-000000000001", "bytea": "\\x00000000000000000000000000000001"},
    {"uuid": "00000000-0000-0000-0000-000000000001", "text": "00000000-0000-0000-0000-000000000001"},
    {"json": '{"a": 1}', "jsonb": '{"a": 1}'}, {"json": '{"a": 1}', "text": '{"a": 1}'},
    {"jsonb": '{"a": 1}', "text": '{"a": 1}'},
    dict.fromkeys(("int4range", "int8range", "numrange"), "[1,5)"),
    {"int4range": "[1,5)", "int4multirange": "{[1,5)}"}, {"int8range": "[1,5)", "int8multirange": "{[1,5)}"},
    dict.fromkeys(("int4multirange", "int8multirange", "nummultirange"), "{[1,5)}"),
    {"daterange": "[2024-01-01,2024-02-01)", "tsrange": "[2024-01-01,2024-02-01)",
     "tstzrange": "[2024-01-01 00:00+00,2024-02-01 00:00+00)"},
    {"public.label": "1", "public.other_label": "1"}, {"public.pair": "(1,a)", "public.other_pair": "(1,a)"},
]
