-- The values of settings of Citus. If its library is not loaded, they can be set, but are not listed.
SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY (%(names)s::text[])
