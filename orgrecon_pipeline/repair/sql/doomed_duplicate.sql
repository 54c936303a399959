        WITH crowded AS MATERIALIZED (
            -- A key with one row has no copy too many: the rest of a large tenant is counted, and neither joined nor sorted.
            SELECT {key} FROM {target} AS t GROUP BY {key} HAVING count(*) > 1
        ), wanted AS (
            -- Where the source itself has several, nobody can say which row of the target is which of them.
            SELECT {key} FROM {source} AS s
            WHERE EXISTS (SELECT FROM crowded AS t WHERE {same_key}) GROUP BY {key} HAVING count(*) = 1
        ), valued AS (
            SELECT {columns} FROM {source} JOIN wanted USING ({key})
        ), placed AS (
            -- What others refer to stays, then what is right already.
            SELECT t.*, row_number() OVER (
                PARTITION BY {key_of_t}
                ORDER BY t.orgrecon_references DESC, t.orgrecon_living DESC, (s.{tenant} IS NOT NULL) DESC,
                         t.orgrecon_part, t.orgrecon_row
            ) AS orgrecon_place
            FROM {target} AS t
            JOIN wanted USING ({key})
            LEFT JOIN valued AS s ON {same_key}{same_values}
        ), doomed AS (
            SELECT * FROM placed WHERE orgrecon_place > 1
        )
