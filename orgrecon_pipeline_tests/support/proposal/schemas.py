"""Schemas that ``orgrecon init`` has to understand, each with the mapping that is expected and with known drift."""

from __future__ import annotations

from dataclasses import dataclass, field

from orgrecon_pipeline_tests.support.proposal import schema_sql


@dataclass(frozen=True)
class Entity:
    """What is expected of an entity: tables, key, compared columns, conditions, and parts of the SQL.

    ``contains`` are texts that the expression of a column (or ``from``) contains, by side and column. ``left_out`` are
    reasons of columns that are not compared. ``confidence`` is empty if the test does not say.
    """

    source: str
    target: str
    key: list[str]
    compare: list[str] = field(default_factory=list)
    where: tuple[str | None, str | None] = (None, None)
    contains: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    confidence: str = ""


@dataclass(frozen=True)
class Schema:
    """A schema in one database, or in two.

    Attributes:
        sql: statements for the database, or for that of the source.
        target_sql: statements for the database of the target, if it is another one.
        entities: what is expected, by name.
        drift: statements that make rows differ, by the drift that they cause: entity, kind and number of keys. A
            statement that begins with ``target:`` is for the database of the target.
        tenants: table and column of the declared tenants; None if the test does not say.
        todo: names of pairs that a person must decide.
        options: further options of the command.
        left_out: reasons of tables that are not compared.
    """

    sql: str
    entities: dict[str, Entity]
    drift: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    target_sql: str | None = None
    tenants: tuple[str, str] | None = None
    todo: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)


SCHEMAS: dict[str, Schema] = {
    "other names, singular tables, composite keys, a join table and an enum": Schema(
        sql=schema_sql.read("squads"),
        entities={
            "cell": Entity("public.squad", "public.cell", ["squad_no"], ["title", "tier"],
                           contains={("target", "squad_no"): "legacy_squad_no", ("source", "tier"): "::text"}),
            "cell_person": Entity("public.squad_person", "public.cell_person", ["squad_no", "person_id"],
                                  ["function"], contains={("target", "squad_no"): "j1.legacy_squad_no"}),
        },
        drift={
            "UPDATE cell SET title = 'other' WHERE legacy_squad_no = 7 AND org_code = 'org-1'":
                ("cell", "mismatched", 1),
            "DELETE FROM cell_person WHERE person_id IN (3, 4)": ("cell_person", "missing", 56),
            "DELETE FROM squad_person WHERE person_id = 5": ("cell_person", "unexpected", 12),
            "UPDATE squad SET tier = 'gold' WHERE org_code = 'org-2' AND squad_no IN (1, 2)": ("cell", "mismatched", 2),
        }),
    "two databases": Schema(
        sql=schema_sql.read("crm_source"), target_sql=schema_sql.read("crm_target"),
        entities={
            "people": Entity("public.persons", "crm.people", ["person_id"], ["full_name", "email", "born"],
                             where=("deleted IS NOT TRUE", "removed_at IS NULL"),
                             contains={("target", "person_id"): "old_person_id"}),
            "groups": Entity("public.grps", "crm.groups", ["id"], ["label"]),
        },
        options=["--pair", "persons=people", "--pair", "grps=groups"],
        drift={
            "UPDATE persons SET full_name = 'x' WHERE person_id = 4": ("people", "mismatched", 1),
            "target:DELETE FROM crm.people WHERE old_person_id IN (9, 10, 11)": ("people", "missing", 3),
            "target:UPDATE crm.groups SET label = 'x' WHERE id = 2": ("groups", "mismatched", 1),
        }),
    "unique old identifiers without a foreign key": Schema(
        sql=schema_sql.read("departments"),
        entities={
            "worker": Entity("hr.employee", "people.worker", ["id"], ["email"],
                             contains={("target", "id"): "employee_id"}, left_out={
                                 "target.display_name": "to compare it, write given || ' ' || family on the source"}),
            "org_node": Entity("hr.department", "people.org_node", ["id"], ["name", "parent_id", "head_id"], contains={
                ("target", "parent_id"): "department_id", ("target", "head_id"): "employee_id"}),
            "assignment": Entity(
                "hr.department_employee", "people.assignment", ["department_id", "employee_id"], left_out={
                    "source.percent": "each of its values goes with one value of target.fte: to compare the two, "
                                      "translate one of them with CASE"}),
        },
        drift={
            "UPDATE people.org_node SET label = 'x' WHERE department_id = 7": ("org_node", "mismatched", 1),
            "DELETE FROM people.assignment WHERE worker_id = (SELECT id FROM people.worker WHERE employee_id = 8)":
                ("assignment", "missing", 2),
            "UPDATE hr.department SET head_id = 1 WHERE id = 9": ("org_node", "mismatched", 1),
        }),
    "natural keys and marks in other words": Schema(
        sql=schema_sql.read("depots"), tenants=("public.carrier", "code"),
        entities={
            "operative": Entity("public.driver", "public.operative", ["badge"], ["last_name"],
                                where=("is_deleted IS NOT TRUE", None),
                                contains={("source", "tenant_id"): "carrier_code"}),
            "site": Entity("public.depot", "public.site", ["depot_no"], ["descr", "zip"],
                           where=("del_flag::text IS DISTINCT FROM 'Y'", None), left_out={
                               "source.class": "each of its values goes with one value of target.kind: to compare the "
                                               "two, translate one of them with CASE"}),
            "site_operative": Entity(
                "public.depot_driver", "public.site_operative", ["depot_no", "badge"],
                where=("j1.is_deleted IS NOT TRUE", None), contains={("target", "tenant_id"): ".carrier_code"}),
        },
        drift={
            "UPDATE site SET label = 'x' WHERE number = 4": ("site", "mismatched", 3),
            "UPDATE operative SET surname = 'x' WHERE pass = 1007": ("operative", "mismatched", 3),
            "DELETE FROM site_operative WHERE operative_id = 901": ("site_operative", "missing", 1),
        }),
    "tenants with other identifiers in two databases": Schema(
        sql=schema_sql.read("mandant_source"), target_sql=schema_sql.read("mandant_target"),
        tenants=('"Stamm"."Mandant"', "kuerzel"),
        entities={
            "unit": Entity("Stamm.Abteilung", "core.unit", ["abteilungnr"], ["bezeichnung", "uebergeordnetnr"],
                           where=("t.aktiv IS NOT FALSE", None),
                           contains={("source", "tenant_id"): "kuerzel", ("target", "tenant_id"): "slug"}),
            "app_user": Entity("Stamm.Mitarbeiter", "core.app_user", ["personalnr"], ["vorname", "nachname"],
                               contains={("source", "tenant_id"): "kuerzel", ("target", "tenant_id"): "slug"}),
            "unit_member": Entity(
                "Stamm.Zugehoerigkeit", "core.unit_member", ["abteilungnr", "personalnr"],
                where=("j2.aktiv IS NOT FALSE", None),
                contains={("source", "tenant_id"): "kuerzel", ("target", "tenant_id"): "slug"}, left_out={
                    "source.rolle": "each of its values goes with one value of target.role: to compare the two, "
                                    "translate one of them with CASE"}),
        },
        drift={
            "target:UPDATE core.unit SET display_name = 'x' WHERE legacy_no = 105": ("unit", "mismatched", 1),
            """UPDATE "Stamm"."Mitarbeiter" SET vorname = 'x' WHERE "personalNr" = 5008""":
                ("app_user", "mismatched", 1),
            """DELETE FROM "Stamm"."Zugehoerigkeit" WHERE "personalNr" = 5008""": ("unit_member", "unexpected", 3),
        }),
    "an organisation that is a unit, and a licence as the only common key": Schema(
        sql=schema_sql.read("clubs"),
        entities={
            "organisation": Entity("public.club", "league.organisation", ["id"], ["title", "founded"],
                                   where=("archived_on IS NULL", None), contains={("target", "id"): "ext_ref"}),
            "athlete": Entity("public.player", "league.athlete", ["licence_no"], ["born"], left_out={
                "target.full_name": "to compare it, write last_name || ', ' || first_name on the source"}),
            "squad_entry": Entity(
                "public.roster", "league.squad_entry", ["player_id", "season"], ["club_id", "shirt"],
                where=("j2.archived_on IS NULL", None), contains={("target", "player_id"): "license"}),
        },
        drift={
            "UPDATE league.squad_entry SET number = 99 WHERE id = 5": ("squad_entry", "mismatched", 1),
            "UPDATE player SET born = NULL WHERE id = 7": ("athlete", "mismatched", 1),
        }),
    "prefixes of applications, kept copies and a map table": Schema(
        sql=schema_sql.read("apps"), tenants=("public.accounts_organization", "id"),
        entities={
            "orgmodel_unit": Entity(
                "public.hr_department", "public.orgmodel_unit", ["id"], ["name", "code", "parent_id", "manager_id"],
                contains={("target", "id"): "legacy_department_id", ("target", "manager_id"): ".employee_id"}),
            "orgmodel_person": Entity(
                "public.hr_employee", "public.orgmodel_person", ["id"], ["first_name", "work_email"],
                contains={("target", "from"): "LEFT JOIN public.orgmodel_personidmap"}, left_out={
                    "source.is_active": "each of its values goes with one value of target.status: to compare the two, "
                                        "translate one of them with CASE"}),
            "orgmodel_unitmembership": Entity(
                "public.hr_department_members", "public.orgmodel_unitmembership", ["department_id", "employee_id"],
                contains={("target", "employee_id"): ".employee_id"}),
        },
        drift={
            "UPDATE orgmodel_unit SET head_id = md5('p3')::uuid WHERE legacy_department_id = 9":
                ("orgmodel_unit", "mismatched", 1),
            "UPDATE orgmodel_person SET email = 'x' WHERE id = md5('p77')::uuid": ("orgmodel_person", "mismatched", 1),
            "DELETE FROM hr_department_members WHERE id = 30": ("orgmodel_unitmembership", "unexpected", 1),
        }),
    "rows with effective dates, and a company code": Schema(
        sql=schema_sql.read("effective_dates"), tenants=("r3.t001", "bukrs"),
        entities={
            "person": Entity("r3.employee", "om.person", ["pernr"], ["nachn"], left_out={
                "source.stat2": "each of its values goes with one value of target.active: to compare the two, "
                                "translate one of them with CASE"}),
            "org_unit": Entity("r3.cost_center", "om.org_unit", ["kostl", "datab"], ["ktext"],
                               contains={("source", "tenant_id"): "bukrs", ("target", "datab"): "valid_from"},
                               left_out={"source.datbi": (
                                   "is the same as target.valid_to, but one has a value where the other has NULL: to "
                                   "compare the two, write NULLIF on the source")}),
            "assignment": Entity("r3.assignment", "om.assignment", ["pernr", "begda"], ["kostl"],
                                 contains={("target", "pernr"): ".personnel_number"}, left_out={
                                     "source.prozt": "has the value of target.percentage in each sampled row, but so "
                                                     "few values that it can be by chance: compare the two if they "
                                                     "mean the same"}),
        },
        drift={
            "UPDATE om.org_unit SET valid_from = '2016-01-01' WHERE code = 'K7'; "
            "UPDATE r3.cost_center SET datab = '2016-01-01' WHERE kostl = 'K7'; "
            "DELETE FROM om.org_unit WHERE code = 'K9'":
                ("org_unit", "missing", 1),
            "DELETE FROM om.assignment WHERE id IN (7, 8)": ("assignment", "missing", 2),
        }),
    "realms of another database, and references that are not declared": Schema(
        sql=schema_sql.read("realms_source"), target_sql=schema_sql.read("realms_target"),
        tenants=("public.realm", "id"),
        entities={
            "account": Entity(
                "public.user_entity", "org.account", ["id"], ["email", "first_name", "username"],
                contains={("target", "tenant_id"): "kc_realm_id", ("target", "id"): "kc_user_id"}, left_out={
                    "source.enabled": "each of its values goes with one value of target.status: to compare the two, "
                                      "translate one of them with CASE"}),
            "unit": Entity("public.keycloak_group", "org.unit", ["id"], ["name"]),
            "unit_member": Entity("public.user_group_membership", "org.unit_member", ["group_id", "user_id"],
                                  contains={("target", "group_id"): "kc_group_id"}),
        },
        drift={
            "target:UPDATE org.unit SET name = 'x' WHERE kc_group_id = md5('g30')::uuid": ("unit", "mismatched", 1),
            "DELETE FROM user_group_membership WHERE user_id = md5('u3')::uuid::text": ("unit_member", "unexpected", 3),
        }),
    "tables of the same names, with copies": Schema(
        sql=schema_sql.read("same_names"), tenants=("public.accounts", "id"),
        entities={"groups": Entity(
            "public.groups", "v23.groups", ["id"], ["name"], where=("deleted_at IS NULL", None), left_out={
                "source.archived": "each of its values goes with one value of target.status: to compare the two, "
                                   "translate one of them with CASE"})},
        drift={"DELETE FROM v23.groups WHERE id = 5": ("groups", "missing", 1)}),
    "tenants that one side names by a slug, and tables of details": Schema(
        sql=schema_sql.read("slugs"), tenants=("core.workspaces", "handle"),
        entities={"identity": Entity(
            "core.staff", "directory.identity", ["login"], ["email", "ended_on", "settings"],
            contains={("source", "tenant_id"): ".handle", ("target", "tenant_id"): "workspace_handle",
                      ("source", "settings"): "::jsonb"})},
        drift={"UPDATE directory.identity SET preferences = '{}' WHERE username = 'user3'":
               ("identity", "mismatched", 1)},
        left_out={
            "core.staff_settings": "can also correspond to directory.identity, but core.staff, to which it refers, was "
                                   "chosen: if that is wrong, name this one with --pair",
            "core.badge": "no counterpart was found"}),
    "a copy that nothing follows": Schema(
        sql=schema_sql.pair("users", "users_v2", "public", "public") + "DROP TABLE users_v2;"
        + schema_sql.pair("notes_old", "notes", "public", "public") + "CREATE TABLE users_old AS TABLE users;",
        entities={"notes": Entity("public.notes_old", "public.notes", ["id"], ["name", "email"], confidence="medium")}),
    "a copy that is named with --pair": Schema(
        sql=schema_sql.pair("users_2023", "users", "public", "public"), options=["--pair", "users_2023=users"],
        entities={"users": Entity("public.users_2023", "public.users", ["id"], ["name", "email"], confidence="high")}),
    "prefixes of the generation": Schema(
        sql=schema_sql.pair("legacy_users", "users_v2", "public", "public"),
        entities={"users_v2": Entity(
            "public.legacy_users", "public.users_v2", ["id"], ["name", "email"], confidence="high")},
        drift={"DELETE FROM public.users_v2 WHERE id = 3": ("users_v2", "missing", 1)}),
    "schemas of the generation": Schema(
        sql=schema_sql.pair("users", "users", "legacy", "app_v2"),
        entities={"users": Entity("legacy.users", "app_v2.users", ["id"], ["name", "email"])},
        drift={"DELETE FROM legacy.users WHERE id = 3": ("users", "unexpected", 1)}),
    "names in camel case": Schema(
        sql=schema_sql.pair('"OldUserAccount"', '"UserAccounts"', "public", "public"),
        entities={"useraccounts": Entity("public.OldUserAccount", "public.UserAccounts", ["id"], ["name", "email"])},
        drift={'''UPDATE public."UserAccounts" SET email = NULL WHERE id = 3''': ("useraccounts", "mismatched", 1)}),
    "names that are words of SQL and of YAML": Schema(
        sql=schema_sql.RESERVED,
        entities={"order": Entity("old.order", "new.order", ["no"], ["null", "select", "yes"])},
        drift={'UPDATE new."order" SET "null" = 7 WHERE "no" = 3': ("order", "mismatched", 1)}),
    "hostile names": Schema(
        sql=schema_sql.HOSTILE,
        entities={"c": Entity("old.\\n😀\"'", "new.\\n😀\"'", ["id"], ["todo_7_s"])},
        drift={}),
    "types that differ": Schema(
        sql=schema_sql.read("types"),
        entities={"items_v2": Entity(
            "public.items", "public.items_v2", ["id"], ["amount", "active", "code", "at", "doc"],
            contains={("source", "id"): "::bigint", ("source", "active"): "::integer", ("source", "code"): "::text",
                      ("source", "at"): "::timestamp with time zone", ("target", "doc"): "::text"},
            left_out={"source.tags": "no cast makes integer and text[] comparable without a loss",
                      "target.tags": "no cast makes text[] and integer comparable without a loss"})},
        drift={"UPDATE items_v2 SET amount = amount + 0.01 WHERE id = 3": ("items_v2", "mismatched", 1)}),
    "tenant through a join table": Schema(
        sql=schema_sql.read("joined_tenant"),
        entities={
            "projects_v2": Entity("public.projects", "public.projects_v2", ["id"], ["title"],
                                  contains={("target", "id"): "legacy_id"}),
            "tasks_v2": Entity("public.tasks", "public.tasks_v2", ["id"], ["project_id", "text"],
                               contains={("source", "tenant_id"): "j1.account_id", ("target", "id"): "legacy_id",
                                         ("target", "project_id"): "legacy_id"}),
        },
        drift={"UPDATE tasks_v2 SET text = 'x' WHERE legacy_id = 8": ("tasks_v2", "mismatched", 1),
               "UPDATE projects_v2 SET title = 'x' WHERE legacy_id = 1": ("projects_v2", "mismatched", 1)}),
    "a foreign key that was never validated": Schema(
        sql=schema_sql.read("joined_tenant") + """
            ALTER TABLE tasks_v2 DROP CONSTRAINT tasks_v2_project_id_fkey;
            ALTER TABLE tasks_v2 ADD FOREIGN KEY (project_id) REFERENCES projects_v2 NOT VALID;""",
        entities={
            "projects_v2": Entity("public.projects", "public.projects_v2", ["id"], ["title"]),
            "tasks_v2": Entity("public.tasks", "public.tasks_v2", ["id"], ["project_id", "text"],
                               contains={("source", "from"): " t JOIN ", ("target", "from"): " t LEFT JOIN "}),
        }),
    "unique emails that drift already, and a target that is empty": Schema(
        sql=schema_sql.read("contacts"),
        entities={
            "contact": Entity("public.legacy_contact", "public.contact", ["id"], ["title", "email"], where=(
                "status::text IS DISTINCT FROM 'deleted'", None), left_out={
                "target.status": "status of public.legacy_contact marks deleted rows: if it says more, compare both"}),
            "vendor": Entity("public.legacy_vendor", "public.vendor", ["id"], ["email"]),
        }),
    "status instead of a deletion": Schema(
        sql=schema_sql.read("status"),
        entities={"member_v2": Entity("public.member", "public.member_v2", ["id"], ["name"], where=(
            "status::text IS DISTINCT FROM 'deleted'", "deleted_at IS NULL"), left_out={
                f"{side}.{column}": "marks deleted rows, which are left out"
                for side, column in (("source", "status"), ("target", "deleted_at"))})},
        drift={"UPDATE member_v2 SET deleted_at = now() WHERE id = 3": ("member_v2", "missing", 1)}),
    "status with a value for deleted rows": Schema(
        sql=schema_sql.read("states"),
        entities={
            "member_v2": Entity("public.member", "public.member_v2", ["id"], ["name", "state"], where=(
                "state::text IS DISTINCT FROM 'deleted'", "deleted_at IS NULL"), left_out={
                    "target.deleted_at": "marks deleted rows, which are left out"}),
            "room_v2": Entity("public.room", "public.room_v2", ["id"], ["name", "status"], where=(
                "status::text IS DISTINCT FROM 'deleted'", None)),
        },
        drift={"UPDATE member SET state = 'suspended' WHERE id = 3": ("member_v2", "mismatched", 1),
               "UPDATE room_v2 SET status = 'closed' WHERE id = 2": ("room_v2", "mismatched", 1)}),
    "new identifiers that equal the old ones": Schema(
        sql=schema_sql.read("equal_identifiers"),
        entities={"office_v2": Entity("public.office", "public.office_v2", ["id"], ["city"],
                                      contains={("target", "id"): "legacy_id"})},
        drift={"INSERT INTO office VALUES (90, 1, 'x'); INSERT INTO office_v2 (legacy_id, tenant_id, city) "
               "VALUES (90, 1, 'y')": ("office_v2", "mismatched", 1)}),
    "renamed columns of few values": Schema(
        sql=schema_sql.read("few_values"),
        entities={"staff_v2": Entity(
            "public.staff", "public.staff_v2", ["id"], ["duty", "on_leave"],
            left_out={"source.origin": (
                "has the value of target.channel in each sampled row, but so few values that it can be by chance: "
                "compare the two if they mean the same")})},
        drift={"UPDATE staff_v2 SET job = 'lead' WHERE id = 2": ("staff_v2", "mismatched", 1),
               "UPDATE staff SET on_leave = true WHERE id = 3": ("staff_v2", "mismatched", 1)}),
    "partitioned tables": Schema(
        sql=schema_sql.PARTITIONED,
        entities={"event_v2": Entity("public.event", "public.event_v2", ["id"], ["kind"])},
        drift={"DELETE FROM event_v2 WHERE id = 3": ("event_v2", "missing", 1)}),
    "a view as the target": Schema(
        sql=schema_sql.read("view"),
        entities={"unit_v2": Entity("public.unit", "public.unit_v2", ["id"], ["name"])},
        drift={"UPDATE store SET name = 'x' WHERE id = 3": ("unit_v2", "mismatched", 1)}),
    "a backup that looks like a successor": Schema(
        sql=schema_sql.pair("users", "users_v2", "public", "public") + schema_sql.read("backup"),
        entities={"users_v2": Entity("public.users", "public.users_v2", ["id"], ["name", "email"])}),
    "a view of the source": Schema(
        sql=schema_sql.pair("users", "users_v2", "public", "public")
        + "CREATE VIEW public.users_v3 AS SELECT * FROM public.users;",
        entities={"users_v2": Entity("public.users", "public.users_v2", ["id"], ["name", "email"])},
        drift={"DELETE FROM public.users_v2 WHERE id = 3": ("users_v2", "missing", 1)}),
    "references whose names have no letters": Schema(
        sql=schema_sql.read("symbols"),
        entities={
            "team_v2": Entity("public.team", "public.team_v2", ["id"], ["name"]),
            "swap_v2": Entity("public.swap", "public.swap_v2", ["id"], ["c", "c_2"], contains={
                ("target", "c"): "j1.legacy_id", ("target", "c_2"): "j2.legacy_id"}),
        },
        drift={"""UPDATE swap_v2 SET "§" = "€" WHERE id = 3""": ("swap_v2", "mismatched", 1)}),
    "tenants that nothing links": Schema(
        sql=schema_sql.UNLINKED_TENANTS,
        entities={"team_v2": Entity(
            "public.team", "public.team_v2", ["id"], ["name"], contains={("target", "tenant_id"): "'all'::text"},
            confidence="medium", left_out={
                "source.tenant_id": "each of its values goes with one value of target.tenant_id: to compare the two, "
                                    "translate one of them with CASE"})}),
    "no tenants at all": Schema(
        sql=schema_sql.read("no_tenants"),
        entities={"note_v2": Entity("public.note", "public.note_v2", ["id"], ["body"],
                                    contains={("source", "tenant_id"): "'all'::text"})},
        drift={"DELETE FROM note_v2 WHERE id = 3": ("note_v2", "missing", 1)}),
    "keys that correspond by chance": Schema(
        sql=schema_sql.read("chance"), entities={}, todo=["team_v2"]),
    "few keys correspond": Schema(sql=schema_sql.read("few_keys"), entities={}, todo=["team_v2"]),
    "a business key without a direction": Schema(sql=schema_sql.BUSINESS_KEY, entities={}, todo=["operator"]),
    "a business key of a pair that is named": Schema(
        sql=schema_sql.BUSINESS_KEY, options=["--pair", "operator=account"],
        entities={"account": Entity("public.operator", "public.account", ["login"], ["mail"])},
        drift={"UPDATE account SET handle = 'x' WHERE handle = 'op7'; DELETE FROM operator WHERE login = 'op7'":
               ("account", "unexpected", 1)}),
    "two tables that refer to the source of another pair": Schema(
        sql=schema_sql.BOTH_REFER_TO_THE_SOURCE, todo=["seat"],
        entities={"users_v2": Entity("public.users", "public.users_v2", ["id"], ["email"])}),
    "nothing says which is the source": Schema(sql=schema_sql.NO_DIRECTION, entities={}, todo=["team"]),
    "two successors": Schema(sql=schema_sql.TWO_SUCCESSORS, entities={}, todo=["team_v2", "team_v3", "team_v3_2"]),
    "an empty target": Schema(
        sql=schema_sql.pair("users", "users_v2", "public", "public") + "TRUNCATE public.users_v2;",
        entities={"users_v2": Entity("public.users", "public.users_v2", ["id"], ["name", "email"])}),
}
