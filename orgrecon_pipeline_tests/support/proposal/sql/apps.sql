-- Tables with the prefixes of their applications, in one schema. Employees have new identifiers in a map table.
CREATE TABLE accounts_organization (id bigint PRIMARY KEY, slug text NOT NULL UNIQUE);
CREATE TABLE hr_employee (
    id bigint PRIMARY KEY, organization_id bigint NOT NULL REFERENCES accounts_organization,
    first_name text NOT NULL, work_email text NOT NULL, is_active boolean NOT NULL
);
CREATE TABLE hr_department (
    id bigint PRIMARY KEY, organization_id bigint NOT NULL REFERENCES accounts_organization,
    name text NOT NULL, code text NOT NULL, parent_id bigint REFERENCES hr_department,
    manager_id bigint REFERENCES hr_employee, UNIQUE (organization_id, code)
);
CREATE TABLE hr_department_members (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, department_id bigint NOT NULL REFERENCES hr_department,
    employee_id bigint NOT NULL REFERENCES hr_employee, UNIQUE (department_id, employee_id)
);
INSERT INTO accounts_organization SELECT n, 'org-' || n FROM generate_series(1, 3) AS n;
INSERT INTO hr_employee
SELECT n, 1 + n % 3, 'Name ' || n % 7, 'e' || n || '@example.com', n % 23 <> 0 FROM generate_series(1, 150) AS n;
INSERT INTO hr_department
SELECT n, 1 + n % 3, 'Dept ' || n, 'D' || n, CASE WHEN n > 3 THEN 1 + (n - 1) % 3 END, n FROM generate_series(1, 30) AS n;
INSERT INTO hr_department_members (department_id, employee_id)
SELECT d.id, e.id FROM hr_department AS d JOIN hr_employee AS e USING (organization_id) WHERE (d.id * 7 + e.id) % 9 = 0;
-- Copies: without a key, and with one but without references. Both lack recent rows.
CREATE TABLE hr_employee_old AS SELECT * FROM hr_employee WHERE id <= 140;
CREATE TABLE hr_department_2023 (LIKE hr_department INCLUDING ALL);
INSERT INTO hr_department_2023 SELECT * FROM hr_department WHERE id <= 28;
CREATE TABLE change_of_department (id bigint PRIMARY KEY, department_id bigint, name text);
INSERT INTO change_of_department SELECT id, id, name FROM hr_department;

CREATE TABLE orgmodel_person (
    id uuid PRIMARY KEY, organization_id bigint NOT NULL REFERENCES accounts_organization,
    given_name text NOT NULL, email text NOT NULL, status text NOT NULL
);
CREATE TABLE orgmodel_personidmap (
    employee_id bigint PRIMARY KEY REFERENCES hr_employee, person_id uuid NOT NULL UNIQUE REFERENCES orgmodel_person
);
CREATE TABLE orgmodel_unit (
    id uuid PRIMARY KEY, organization_id bigint NOT NULL REFERENCES accounts_organization,
    legacy_department_id bigint UNIQUE, title text NOT NULL, short_code text NOT NULL,
    parent_id uuid REFERENCES orgmodel_unit, head_id uuid REFERENCES orgmodel_person
);
CREATE TABLE orgmodel_unitmembership (
    id uuid PRIMARY KEY, organization_id bigint NOT NULL REFERENCES accounts_organization,
    unit_id uuid NOT NULL REFERENCES orgmodel_unit, person_id uuid NOT NULL REFERENCES orgmodel_person,
    UNIQUE (unit_id, person_id)
);
INSERT INTO orgmodel_person
SELECT md5('p' || id)::uuid, organization_id, first_name, work_email, CASE WHEN is_active THEN 'active' ELSE 'left' END
FROM hr_employee;
INSERT INTO orgmodel_personidmap SELECT id, md5('p' || id)::uuid FROM hr_employee;
INSERT INTO orgmodel_unit
SELECT md5('u' || id)::uuid, organization_id, id, name, code, md5('u' || parent_id)::uuid, md5('p' || manager_id)::uuid
FROM hr_department ORDER BY id;
INSERT INTO orgmodel_unitmembership
SELECT md5('m' || m.id)::uuid, d.organization_id, md5('u' || d.id)::uuid, md5('p' || employee_id)::uuid
FROM hr_department_members AS m JOIN hr_department AS d ON d.id = m.department_id;
