
            LEFT JOIN LATERAL (
                -- If several rows match, the right one is unknown.
                SELECT {results} FROM (
                    SELECT {candidates}, count(*) AS orgrecon_candidates
                    FROM {table} AS l WHERE {conditions}{live_first}
                ) AS l WHERE l.orgrecon_candidates = 1
            ) AS {alias} ON true
