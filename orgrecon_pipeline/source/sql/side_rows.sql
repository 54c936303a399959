-- Rows of one side for the tenants given.
SELECT {tenant_text} AS tenant, count(*) AS n FROM ({side}) AS r GROUP BY tenant_id
