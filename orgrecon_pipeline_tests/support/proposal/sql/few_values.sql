-- duty became job, and on_leave became absent. origin and channel agree by chance, because nearly all rows have one value.
CREATE TABLE staff (tenant_id int NOT NULL, id int NOT NULL, duty text, on_leave boolean, origin text, PRIMARY KEY (tenant_id, id));
CREATE TABLE staff_v2 (tenant_id int NOT NULL, id int NOT NULL, job text, absent boolean, channel text, PRIMARY KEY (tenant_id, id));

INSERT INTO staff
SELECT 1 + n / 100, n, CASE WHEN n % 10 = 0 THEN 'lead' ELSE 'staff' END, n % 5 = 0, CASE WHEN n = 7 THEN 'other' ELSE 'web' END
FROM generate_series(1, 200) AS n;

INSERT INTO staff_v2 SELECT tenant_id, id, duty, on_leave, CASE WHEN n = 9 THEN 'other' ELSE 'web' END
FROM staff, LATERAL (SELECT id) AS of_row (n);
