-- Keys and values of some rows of a relation, as text.
SELECT {columns} FROM {relation} {where} LIMIT {limit}
