-- The declared universe in the order of its names, packed as one value: there can be a million.
SELECT string_agg(name, '') AS names, string_agg(int8send(octet_length(name)), '') AS lengths,
       coalesce(bool_or(name IS NULL), false) AS has_null
FROM (
    SELECT textsend(tenant) AS name FROM ({tenants}) AS declared ORDER BY {in_order}
) AS names
