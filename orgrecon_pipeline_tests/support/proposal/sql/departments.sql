-- New identifiers in another schema. The old ones are in unique columns without a foreign key. Names were joined, and
-- percent became a share.
CREATE TABLE company (id integer PRIMARY KEY, name text NOT NULL);
CREATE SCHEMA hr;
CREATE TABLE hr.employee (id integer PRIMARY KEY, company_id integer NOT NULL REFERENCES company, given text NOT NULL,
                          family text NOT NULL, email text);
CREATE TABLE hr.department (id integer PRIMARY KEY, company_id integer NOT NULL REFERENCES company, name text NOT NULL,
                            parent_id integer REFERENCES hr.department, head_id integer REFERENCES hr.employee);
CREATE TABLE hr.department_employee (department_id integer NOT NULL REFERENCES hr.department,
                                     employee_id integer NOT NULL REFERENCES hr.employee, percent smallint NOT NULL,
                                     PRIMARY KEY (department_id, employee_id));
CREATE SCHEMA people;
CREATE TABLE people.worker (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), company_id integer NOT NULL,
                            employee_id integer NOT NULL UNIQUE, display_name text NOT NULL, mail text);
CREATE TABLE people.org_node (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), company_id integer NOT NULL,
                              department_id integer NOT NULL UNIQUE, label text NOT NULL,
                              parent_node_id uuid REFERENCES people.org_node, lead_id uuid REFERENCES people.worker);
CREATE TABLE people.assignment (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
                                org_node_id uuid NOT NULL REFERENCES people.org_node,
                                worker_id uuid NOT NULL REFERENCES people.worker, fte numeric NOT NULL);
INSERT INTO company SELECT n, 'company ' || n FROM generate_series(1, 3) AS n;
INSERT INTO hr.employee SELECT n, 1 + n % 3, 'given ' || n, 'family ' || n, 'p' || n || '@example.com'
FROM generate_series(1, 90) AS n;
INSERT INTO hr.department SELECT n, 1 + n % 3, 'department ' || n, CASE WHEN n > 3 THEN 1 + (n - 1) % 3 END,
                                 CASE WHEN n % 4 > 0 THEN 3 + n END
FROM generate_series(1, 30) AS n;
INSERT INTO hr.department_employee SELECT d.id, e.id, CASE WHEN e.id % 5 = 0 THEN 50 ELSE 100 END
FROM hr.employee AS e JOIN hr.department AS d ON d.company_id = e.company_id AND d.id % 5 = e.id % 5;
INSERT INTO people.worker (company_id, employee_id, display_name, mail)
SELECT company_id, id, given || ' ' || family, email FROM hr.employee;
INSERT INTO people.org_node (company_id, department_id, label) SELECT company_id, id, name FROM hr.department;
UPDATE people.org_node AS n SET parent_node_id = p.id
FROM hr.department AS d JOIN people.org_node AS p ON p.department_id = d.parent_id WHERE d.id = n.department_id;
UPDATE people.org_node AS n SET lead_id = w.id
FROM hr.department AS d JOIN people.worker AS w ON w.employee_id = d.head_id WHERE d.id = n.department_id;
INSERT INTO people.assignment (org_node_id, worker_id, fte)
SELECT n.id, w.id, a.percent / 100.0 FROM hr.department_employee AS a
JOIN people.org_node AS n USING (department_id) JOIN people.worker AS w USING (employee_id);
