-- Codes as keys, and rows that are valid from one date to another: one model identifies them by the end, one by the start.
CREATE SCHEMA r3;
CREATE SCHEMA om;
CREATE TABLE r3.t001 (bukrs char(4) PRIMARY KEY, butxt varchar(25) NOT NULL);
CREATE TABLE r3.cost_center (
    bukrs char(4) NOT NULL REFERENCES r3.t001, kostl varchar(10) NOT NULL, datab date NOT NULL, datbi date NOT NULL,
    ktext varchar(40), zz1 integer, PRIMARY KEY (bukrs, kostl, datbi)
);
CREATE TABLE r3.employee (
    bukrs char(4) NOT NULL REFERENCES r3.t001, pernr numeric(8) NOT NULL, nachn varchar(40) NOT NULL, stat2 char(1),
    PRIMARY KEY (bukrs, pernr)
);
CREATE TABLE r3.assignment (
    bukrs char(4) NOT NULL, pernr numeric(8) NOT NULL, begda date NOT NULL, endda date NOT NULL, kostl varchar(10),
    prozt numeric(5, 2) NOT NULL, PRIMARY KEY (bukrs, pernr, endda), FOREIGN KEY (bukrs, pernr) REFERENCES r3.employee
) PARTITION BY LIST (bukrs);
CREATE TABLE r3.assignment_1 PARTITION OF r3.assignment FOR VALUES IN ('C1', 'C2');
CREATE TABLE r3.assignment_2 PARTITION OF r3.assignment FOR VALUES IN ('C3');
CREATE TABLE r3.matrix_assignment (
    bukrs char(4) NOT NULL, pernr numeric(8) NOT NULL, kostl varchar(10) NOT NULL, begda date NOT NULL,
    endda date NOT NULL, PRIMARY KEY (bukrs, pernr, kostl, endda)
);
INSERT INTO r3.t001 SELECT 'C' || n, 'Company ' || n FROM generate_series(1, 3) AS n;
INSERT INTO r3.cost_center
SELECT 'C' || 1 + n % 3, 'K' || n, CASE v WHEN 1 THEN date '2015-01-01' ELSE date '2022-01-01' END,
       CASE WHEN v = 1 AND n % 5 = 0 THEN date '2021-12-31' - n % 40 ELSE date '9999-12-31' END, 'Cost centre ' || n, n * 3
FROM generate_series(1, 80) AS n, generate_series(1, 2) AS v WHERE v = 1 OR n % 5 = 0;
INSERT INTO r3.employee
SELECT 'C' || 1 + n % 3, 10000 + n, 'Name ' || n % 67, CASE WHEN n % 21 = 0 THEN '0' ELSE '3' END
FROM generate_series(1, 120) AS n;
INSERT INTO r3.assignment
SELECT bukrs, pernr, CASE v WHEN 1 THEN date '2015-01-01' ELSE date '2020-01-01' END,
       CASE v WHEN 1 THEN date '2019-12-31' ELSE date '9999-12-31' END, 'K' || (3 * pernr)::integer % 80, 100
FROM r3.employee, generate_series(1, 2) AS v WHERE v = 2 OR pernr % 3 = 0;
CREATE TABLE r3.cost_center_20231231 AS TABLE r3.cost_center;

CREATE TABLE om.company (id uuid PRIMARY KEY, company_code varchar(4) NOT NULL UNIQUE);
CREATE TABLE om.org_unit (
    id bigint GENERATED ALWAYS AS IDENTITY (START 5001) PRIMARY KEY,
    company_code varchar(4) NOT NULL REFERENCES om.company (company_code), code text NOT NULL, valid_from date NOT NULL,
    valid_to date, title text, UNIQUE (company_code, code, valid_from)
);
CREATE TABLE om.person (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    company_code varchar(4) NOT NULL REFERENCES om.company (company_code), personnel_number integer NOT NULL,
    last_name text NOT NULL, active boolean NOT NULL, UNIQUE (company_code, personnel_number)
);
CREATE TABLE om.assignment (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, person_id bigint NOT NULL REFERENCES om.person,
    org_unit_code text, company_code varchar(4) NOT NULL, valid_from date NOT NULL, valid_to date,
    percentage numeric(5, 2) NOT NULL
);
INSERT INTO om.company SELECT md5(bukrs)::uuid, bukrs FROM r3.t001;
INSERT INTO om.org_unit (company_code, code, valid_from, valid_to, title)
SELECT bukrs, kostl, datab, nullif(datbi, date '9999-12-31'), ktext FROM r3.cost_center;
INSERT INTO om.person (company_code, personnel_number, last_name, active)
SELECT bukrs, pernr, nachn, stat2 = '3' FROM r3.employee;
INSERT INTO om.assignment (person_id, org_unit_code, company_code, valid_from, valid_to, percentage)
SELECT p.id, a.kostl, a.bukrs, a.begda, nullif(a.endda, date '9999-12-31'), a.prozt
FROM r3.assignment AS a JOIN om.person AS p ON (p.company_code, p.personnel_number) = (a.bukrs, a.pernr);
ANALYZE;
