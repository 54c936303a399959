-- A unique email of which some have drifted already, the same with a target that is still empty, and a status that marks deleted
-- rows on one side only.
CREATE TABLE legacy_contact (tenant_id integer NOT NULL, id integer PRIMARY KEY, title text, email text UNIQUE, status text);
CREATE TABLE contact (tenant_id integer NOT NULL, id integer PRIMARY KEY, title text, email text UNIQUE, status text);
CREATE TABLE legacy_vendor (tenant_id integer NOT NULL, id integer PRIMARY KEY, email text UNIQUE);
CREATE TABLE vendor (tenant_id integer NOT NULL, id integer PRIMARY KEY, email text UNIQUE);
INSERT INTO legacy_contact
SELECT n % 3, n, 'Contact ' || n, 'mail' || n, CASE n % 5 WHEN 0 THEN 'deleted' ELSE 'open' END FROM generate_series(1, 90) AS n;
INSERT INTO contact
SELECT tenant_id, id, title, CASE id % 6 WHEN 1 THEN 'other' || id ELSE email END, status FROM legacy_contact
WHERE status = 'open';
INSERT INTO legacy_vendor SELECT tenant_id, id, email FROM legacy_contact;
