-- The trees of the statements that the given views stand for.
SELECT r.ev_class::bigint AS oid, r.ev_action::text AS tree
FROM pg_catalog.pg_rewrite AS r
WHERE r.ev_class = ANY (%(oids)s::oid[]) AND r.rulename = '_RETURN'
