CREATE TEMPORARY VIEW {shared} AS
SELECT orgrecon_part, orgrecon_row FROM (
{all_rows}
) AS r GROUP BY orgrecon_part, orgrecon_row HAVING count(*) > 1;
