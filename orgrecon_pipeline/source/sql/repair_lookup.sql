
            LEFT JOIN LATERAL (
                SELECT {found} FROM {table} AS l WHERE {conditions} ORDER BY {order} LIMIT 1
            ) AS {alias} ON true
