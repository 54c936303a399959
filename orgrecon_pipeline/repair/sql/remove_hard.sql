        , changed AS (
            DELETE FROM {table} AS h
            USING doomed AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{unshared}
              AND d.orgrecon_references = 0
            RETURNING {key_of_d}
        )
