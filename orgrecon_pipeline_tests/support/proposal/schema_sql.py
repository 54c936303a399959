"""Statements that create the schemas of :mod:`schemas`."""

from __future__ import annotations

from pathlib import Path


def read(name: str) -> str:
    """Return the statements of a file."""
    return (Path(__file__).parent / f"sql/{name}.sql").read_text("utf-8")


def pair(source: str, target: str, source_schema: str, target_schema: str) -> str:
    """Return two tables of users with the same rows, named as given, in SQL."""
    return "".join(f"""
        CREATE SCHEMA IF NOT EXISTS {schema};
        CREATE TABLE {schema}.{name} (tenant_id text NOT NULL, id bigint NOT NULL, name text NOT NULL, email text,
                                      PRIMARY KEY (tenant_id, id));
        INSERT INTO {schema}.{name} SELECT 'tenant-' || n % 3, n, 'name ' || n, 'mail' || n || '@example.com'
        FROM generate_series(1, 60) AS n;
    """ for schema, name in ((source_schema, source), (target_schema, target)))

RESERVED = "".join(f"""
CREATE SCHEMA {schema};
CREATE TABLE {schema}."order" (tenant text NOT NULL, "no" integer NOT NULL, "null" integer, "select" text,
                               "yes" boolean, PRIMARY KEY (tenant, "no"));
INSERT INTO {schema}."order" SELECT 'true', n, n * 3, 'row ' || n, n % 2 = 0 FROM generate_series(1, 50) AS n;
""" for schema in ("old", "new"))

HOSTILE = "".join(f"""
CREATE SCHEMA {schema};
CREATE TABLE {schema}."\n😀""'" ("tenant_id" text NOT NULL, id integer NOT NULL, "# TODO: {{{{ 7 }}}}: [%s]
" text, PRIMARY KEY (tenant_id, id));
INSERT INTO {schema}."\n😀""'" SELECT 'x', n, 'row ' || n FROM generate_series(1, 50) AS n;
""" for schema in ("old", "new"))

PARTITIONED = "".join(f"""
CREATE TABLE {name} (tenant_id integer NOT NULL, id integer NOT NULL, kind text NOT NULL, PRIMARY KEY (tenant_id, id))
PARTITION BY HASH (tenant_id);
CREATE TABLE {name}_p0 PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE {name}_p1 PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO {name} SELECT n % 5, n, 'kind ' || n % 9 FROM generate_series(1, 60) AS n;
""" for name in ("event", "event_v2"))

NO_DIRECTION = "".join(f"""
CREATE SCHEMA {schema};
CREATE TABLE {schema}.team (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO {schema}.team SELECT 1, n, 'team ' || n FROM generate_series(1, 60) AS n;
""" for schema in ("red", "blue"))

UNLINKED_TENANTS = """
CREATE TABLE team (id uuid PRIMARY KEY, tenant_id integer NOT NULL, name text NOT NULL);
CREATE TABLE team_v2 (id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name text NOT NULL);
INSERT INTO team SELECT md5('team ' || n)::uuid, n % 3, 'team ' || n FROM generate_series(1, 60) AS n;
INSERT INTO team_v2 SELECT id, md5('tenant ' || tenant_id)::uuid, name FROM team;
"""

BOTH_REFER_TO_THE_SOURCE = """
CREATE TABLE users (id integer PRIMARY KEY, email text NOT NULL);
CREATE TABLE users_v2 (id uuid PRIMARY KEY, user_id integer NOT NULL UNIQUE, email text NOT NULL);
INSERT INTO users SELECT n, 'u' || n || '@example.com' FROM generate_series(1, 60) AS n;
INSERT INTO users_v2 SELECT md5(email)::uuid, id, email FROM users;
""" + "".join(f"""
CREATE TABLE {name} (user_id integer NOT NULL REFERENCES users, area text NOT NULL, grade text NOT NULL,
                     PRIMARY KEY (user_id, area));
INSERT INTO {name} SELECT n, 'area ' || n % 4, 'grade ' || n % 9 FROM generate_series(1, 60) AS n;
""" for name in ("seat", "desk"))

TWO_SUCCESSORS = "".join(f"""
CREATE TABLE {name} (tenant_id integer NOT NULL, id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO {name} SELECT 1, n, 'team ' || n FROM generate_series(1, 60) AS n;
""" for name in ("team", "team_v2", "team_v3"))

# Neither table has a column that is named like one of the other, and both have a primary key of their own.
BUSINESS_KEY = """
CREATE TABLE operator (operator_id integer PRIMARY KEY, tenant_id integer NOT NULL, login text NOT NULL, mail text,
                       UNIQUE (tenant_id, login));
CREATE TABLE account (uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id integer NOT NULL, handle text NOT NULL,
                      address text, UNIQUE (tenant_id, handle));
INSERT INTO operator SELECT n, n % 3, 'op' || n, 'op' || n || '@example.com' FROM generate_series(1, 60) AS n;
INSERT INTO account (tenant_id, handle, address) SELECT tenant_id, login, mail FROM operator;
"""
