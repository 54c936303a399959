-- The functions that cast, and those that change the length or precision of a type.
SELECT castfunc::bigint AS function, castsource::bigint AS source, casttarget::bigint AS target
FROM pg_catalog.pg_cast
WHERE castfunc <> 0
ORDER BY castfunc, castsource, casttarget
