-- Names of types with their length or precision, if it is given.
SELECT types.oid::bigint AS oid, types.length, pg_catalog.format_type(types.oid, nullif(types.length, -1)) AS name
FROM unnest(%(oids)s::oid[], %(lengths)s::integer[]) AS types (oid, length)
