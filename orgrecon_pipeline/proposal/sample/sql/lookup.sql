-- The numbers of the given keys that a relation has, with values of their rows as text.
SELECT k.n {values}
FROM (SELECT given.n {casts} FROM unnest({arrays}) WITH ORDINALITY AS given ({names}, n)) AS k
JOIN (SELECT {columns} FROM {relation} {where}) AS r ON {conditions}
LIMIT {limit}
