-- Natural keys of which no name remains, a tenant that is named like nothing, marks of deleted rows in other words, an enum
-- with other labels, and a join table without the rows of deleted drivers.
CREATE TYPE class AS ENUM ('hub', 'yard');
CREATE TYPE kind AS ENUM ('HUB', 'YARD');
CREATE TABLE carrier (code text PRIMARY KEY);
CREATE TABLE depot (carrier_code text NOT NULL REFERENCES carrier, depot_no smallint NOT NULL, descr varchar(60) NOT NULL,
                    class class NOT NULL, zip char(5), del_flag char(1) NOT NULL, PRIMARY KEY (carrier_code, depot_no));
CREATE TABLE driver (carrier_code text NOT NULL REFERENCES carrier, badge integer NOT NULL, last_name text NOT NULL,
                     is_deleted boolean NOT NULL, PRIMARY KEY (carrier_code, badge));
CREATE TABLE depot_driver (
    carrier_code text NOT NULL, depot_no smallint NOT NULL, badge integer NOT NULL, PRIMARY KEY (carrier_code, depot_no, badge),
    FOREIGN KEY (carrier_code, depot_no) REFERENCES depot, FOREIGN KEY (carrier_code, badge) REFERENCES driver);
CREATE TABLE site (id bigint GENERATED ALWAYS AS IDENTITY (START 50001) PRIMARY KEY, carrier_code text NOT NULL REFERENCES carrier,
                   number integer NOT NULL, label text NOT NULL, kind kind NOT NULL, postcode text, UNIQUE (carrier_code, number));
CREATE TABLE operative (id bigint GENERATED ALWAYS AS IDENTITY (START 900) PRIMARY KEY,
                        carrier_code text NOT NULL REFERENCES carrier, pass integer NOT NULL, surname text NOT NULL,
                        UNIQUE (carrier_code, pass));
CREATE TABLE site_operative (site_id bigint NOT NULL REFERENCES site, operative_id bigint NOT NULL REFERENCES operative,
                             PRIMARY KEY (site_id, operative_id));
INSERT INTO carrier VALUES ('ACE'), ('BOLT'), ('CARGO');
INSERT INTO depot SELECT code, n, code || ' depot ' || n, CASE n % 3 WHEN 0 THEN 'hub' ELSE 'yard' END::class,
                         lpad(n::text, 5, '0'), CASE n % 10 WHEN 0 THEN 'Y' ELSE 'N' END
FROM carrier, generate_series(1, 30) AS n;
INSERT INTO driver SELECT code, 1000 + n, 'name ' || n * length(code), n % 15 = 0 FROM carrier, generate_series(1, 60) AS n;
INSERT INTO depot_driver SELECT carrier_code, 1 + badge * 7 % 29, badge FROM driver WHERE badge * 7 % 29 % 10 <> 9;
INSERT INTO site (carrier_code, number, label, kind, postcode)
SELECT carrier_code, depot_no, descr, upper(class::text)::kind, zip FROM depot WHERE del_flag = 'N';
INSERT INTO operative (carrier_code, pass, surname) SELECT carrier_code, badge, last_name FROM driver WHERE NOT is_deleted;
INSERT INTO site_operative SELECT s.id, o.id
FROM depot_driver AS d JOIN site AS s ON (s.carrier_code, s.number) = (d.carrier_code, d.depot_no)
JOIN operative AS o ON (o.carrier_code, o.pass) = (d.carrier_code, d.badge);
