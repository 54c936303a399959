
              AND NOT EXISTS (
                  -- If joins return a row more than once, a change that is right for one result may be wrong for another.
                  SELECT FROM {joined_often} AS o
                  WHERE o.orgrecon_part = d.orgrecon_part AND o.orgrecon_row = d.orgrecon_row
              )
