        , changed AS (
            UPDATE {table} AS h SET {deleted} = now()
            FROM selected AS d
            WHERE h.ctid = d.orgrecon_row AND h.tableoid = d.orgrecon_part{own_key}{joined_once}
              AND h.{deleted} IS NULL
            RETURNING {key_of_d}
        )
