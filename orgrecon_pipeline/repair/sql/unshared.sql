
              AND NOT EXISTS (
                  -- A join gives this row more than once: what one of them lacks may be right in another.
                  SELECT FROM {shared} AS o WHERE o.orgrecon_part = d.orgrecon_part AND o.orgrecon_row = d.orgrecon_row
              )
