        WITH single AS (
            SELECT {key} FROM {source} AS s GROUP BY {key} HAVING count(*) = 1
        ), stale AS (
            SELECT t.orgrecon_row, t.orgrecon_part, {key_of_t}, {values}
            FROM {target} AS t
            JOIN {source} AS s ON {same_key}
            JOIN single ON {single_key}{lookups}
            WHERE NOT (true{same_values}){resolved}
        ), changed AS (
            UPDATE {table} AS h SET {assignments}
            FROM stale AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}
            RETURNING {key_of_d}
        )
