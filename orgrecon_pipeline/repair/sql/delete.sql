        , changed AS (
            DELETE FROM {table} AS h
            USING selected AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{joined_once}
              AND d.orgrecon_references = 0
            RETURNING {key_of_d}
        )
