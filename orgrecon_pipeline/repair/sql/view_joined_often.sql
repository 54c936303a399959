CREATE TEMPORARY VIEW {joined_often} AS
SELECT orgrecon_part, orgrecon_row FROM (
{select_all}
) AS r GROUP BY orgrecon_part, orgrecon_row HAVING count(*) > 1;
