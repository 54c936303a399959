        WITH wanted AS (
            SELECT {key}, count(*) AS orgrecon_copies FROM {source} AS s GROUP BY {key}
        ), valued AS (
            SELECT DISTINCT {columns} FROM {source} AS s
        ), placed AS (
            -- What others refer to stays, then what is right already.
            SELECT t.*, row_number() OVER (
                PARTITION BY {key_of_t}
                ORDER BY t.orgrecon_references DESC, t.orgrecon_living DESC, (s.{tenant} IS NOT NULL) DESC,
                         t.orgrecon_part, t.orgrecon_row
            ) AS orgrecon_place
            FROM {target} AS t
            LEFT JOIN valued AS s ON {same_key}{same_values}
        ), doomed AS (
            SELECT * FROM placed JOIN wanted USING ({key}) WHERE orgrecon_place > orgrecon_copies
        )
