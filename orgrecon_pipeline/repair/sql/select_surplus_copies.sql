        WITH repeated AS MATERIALIZED (
            -- Keys with one row have no surplus copy. Filtering them first keeps large tenants out of the joins and sorts.
            SELECT {key} FROM {target} AS t GROUP BY {key} HAVING count(*) > 1
        ), wanted AS (
            -- If the source has several rows of a key, it is unknown which of them a row of the target corresponds to.
            SELECT {key} FROM {source} AS s
            WHERE EXISTS (SELECT FROM repeated AS t WHERE {same_key}) GROUP BY {key} HAVING count(*) = 1
        ), valued AS (
            SELECT {columns} FROM {source} JOIN wanted USING ({key})
        ), ranked AS (
            -- Keep the copy that other rows refer to; otherwise a copy whose values are right already.
            SELECT t.*, row_number() OVER (
                PARTITION BY {key_of_t}
                ORDER BY t.orgrecon_references DESC, t.orgrecon_live_references DESC, (s.{tenant} IS NOT NULL) DESC,
                         t.orgrecon_part, t.orgrecon_row
            ) AS orgrecon_rank
            FROM {target} AS t
            JOIN wanted USING ({key})
            LEFT JOIN valued AS s ON {same_key}{same_values}
        ), selected AS (
            SELECT * FROM ranked WHERE orgrecon_rank > 1
        )
