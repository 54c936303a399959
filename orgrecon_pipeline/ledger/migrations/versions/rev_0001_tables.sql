-- Tables of the ledger. Their columns depend on the database: rev_0001_initial.py replaces the fields in braces.
-- A migration never changes, so this file repeats tables.py.

CREATE TABLE orgrecon_ledger (
    number INTEGER NOT NULL,
    id {name} NOT NULL,
    CONSTRAINT pk_orgrecon_ledger PRIMARY KEY (number),
    CONSTRAINT ck_orgrecon_ledger_number CHECK (number = 1)
)

CREATE TABLE orgrecon_observation (
    number {number} NOT NULL,
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    id {name} NOT NULL,
    title TEXT NOT NULL,
    ledger {name},
    day DATE NOT NULL,
    provenance {name} NOT NULL,
    verdict {name} NOT NULL,
    reason TEXT NOT NULL,
    reason_code {name} NOT NULL,
    reason_parameters TEXT NOT NULL,
    observed_at {instant},
    mapping_digest TEXT NOT NULL,
    orgrecon_version TEXT NOT NULL,
    tenants_scanned BIGINT,
    tenants_with_drift BIGINT,
    compared TEXT NOT NULL,
    CONSTRAINT pk_orgrecon_observation PRIMARY KEY (number),
    CONSTRAINT uq_orgrecon_observation_migration_environment_id UNIQUE (migration, environment, id),
    CONSTRAINT ck_orgrecon_observation_provenance
        CHECK (provenance IN ('live', 'baseline', 'restored', 'simulated')),
    CONSTRAINT ck_orgrecon_observation_verdict CHECK (verdict IN ('PASS', 'FAIL', 'INCONCLUSIVE')),
    CONSTRAINT ck_orgrecon_observation_tenants_scanned CHECK (tenants_scanned BETWEEN 0 AND 9007199254740991),
    CONSTRAINT ck_orgrecon_observation_tenants_with_drift CHECK (tenants_with_drift BETWEEN 0 AND 9007199254740991)
)

CREATE INDEX ix_orgrecon_observation_migration_environment_day ON orgrecon_observation (migration, environment, day)

CREATE TABLE orgrecon_entity (
    observation BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    name {name} NOT NULL,
    source_rows BIGINT CONSTRAINT ck_orgrecon_entity_source_rows CHECK (source_rows BETWEEN 0 AND 9007199254740991),
    target_rows BIGINT CONSTRAINT ck_orgrecon_entity_target_rows CHECK (target_rows BETWEEN 0 AND 9007199254740991),
    missing BIGINT CONSTRAINT ck_orgrecon_entity_missing CHECK (missing BETWEEN 0 AND 9007199254740991),
    unexpected BIGINT CONSTRAINT ck_orgrecon_entity_unexpected CHECK (unexpected BETWEEN 0 AND 9007199254740991),
    mismatched BIGINT CONSTRAINT ck_orgrecon_entity_mismatched CHECK (mismatched BETWEEN 0 AND 9007199254740991),
    duplicate BIGINT CONSTRAINT ck_orgrecon_entity_duplicate CHECK (duplicate BETWEEN 0 AND 9007199254740991),
    transient BIGINT CONSTRAINT ck_orgrecon_entity_transient CHECK (transient BETWEEN 0 AND 9007199254740991),
    kept_keys BIGINT NOT NULL,
    CONSTRAINT pk_orgrecon_entity PRIMARY KEY (observation, ordinal),
    CONSTRAINT uq_orgrecon_entity_observation_name UNIQUE (observation, name),
    CONSTRAINT fk_orgrecon_entity_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE TABLE orgrecon_tenant_row (
    observation BIGINT NOT NULL,
    tenant {name} NOT NULL,
    entity INTEGER NOT NULL,
    source_rows BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_source_rows CHECK (source_rows BETWEEN 0 AND 9007199254740991),
    target_rows BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_target_rows CHECK (target_rows BETWEEN 0 AND 9007199254740991),
    missing BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_missing CHECK (missing BETWEEN 0 AND 9007199254740991),
    unexpected BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_unexpected CHECK (unexpected BETWEEN 0 AND 9007199254740991),
    mismatched BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_mismatched CHECK (mismatched BETWEEN 0 AND 9007199254740991),
    duplicate BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_duplicate CHECK (duplicate BETWEEN 0 AND 9007199254740991),
    transient BIGINT NOT NULL CONSTRAINT ck_orgrecon_tenant_row_transient CHECK (transient BETWEEN 0 AND 9007199254740991),
    drift BIGINT NOT NULL,
    first_seen DATE,
    CONSTRAINT pk_orgrecon_tenant_row PRIMARY KEY (observation, tenant, entity),
    CONSTRAINT ck_orgrecon_tenant_row_drift CHECK (drift = missing + unexpected + mismatched + duplicate),
    CONSTRAINT fk_orgrecon_tenant_row_observation_entity
        FOREIGN KEY (observation, entity) REFERENCES orgrecon_entity (observation, ordinal)
) {without_rowid}

CREATE TABLE orgrecon_sample (
    observation BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    tenant {name} NOT NULL,
    entity {name} NOT NULL,
    kind {name} NOT NULL,
    key TEXT NOT NULL,
    differing_columns TEXT NOT NULL,
    column_values TEXT,
    context TEXT,
    first_seen DATE,
    CONSTRAINT pk_orgrecon_sample PRIMARY KEY (observation, ordinal),
    CONSTRAINT fk_orgrecon_sample_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE TABLE orgrecon_key (
    observation BIGINT NOT NULL,
    entity INTEGER NOT NULL,
    first_seen DATE,
    tenant {name} NOT NULL,
    key {name} NOT NULL,
    kind {name} NOT NULL,
    differing_columns TEXT
)

CREATE INDEX ix_orgrecon_key_observation ON orgrecon_key (observation)

CREATE TABLE orgrecon_change (
    observation BIGINT NOT NULL,
    change TEXT NOT NULL,
    CONSTRAINT pk_orgrecon_change PRIMARY KEY (observation),
    CONSTRAINT fk_orgrecon_change_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
)

CREATE TABLE orgrecon_ready_tenants (
    observation BIGINT NOT NULL,
    evidence {name} NOT NULL,
    figures TEXT NOT NULL,
    CONSTRAINT pk_orgrecon_ready_tenants PRIMARY KEY (observation, evidence),
    CONSTRAINT fk_orgrecon_ready_tenants_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE TABLE orgrecon_coverage (
    observation BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    subject {name} NOT NULL,
    name {name} NOT NULL,
    change {name} NOT NULL,
    CONSTRAINT pk_orgrecon_coverage PRIMARY KEY (observation, ordinal),
    CONSTRAINT ck_orgrecon_coverage_subject CHECK (subject IN ('tenant', 'entity', 'column')),
    CONSTRAINT ck_orgrecon_coverage_change CHECK (change IN ('appeared', 'departed', 'lost')),
    CONSTRAINT fk_orgrecon_coverage_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE INDEX ix_orgrecon_coverage_subject_name ON orgrecon_coverage (subject, name)

CREATE TABLE orgrecon_acknowledgement (
    number {number} NOT NULL,
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    kind {name} NOT NULL,
    reason TEXT NOT NULL,
    observation_id {name},
    details TEXT NOT NULL,
    recorded_at {instant} NOT NULL,
    CONSTRAINT pk_orgrecon_acknowledgement PRIMARY KEY (number),
    CONSTRAINT ck_orgrecon_acknowledgement_kind CHECK (kind IN ('coverage', 'source', 'ledger')),
    CONSTRAINT fk_orgrecon_acknowledgement_observation
        FOREIGN KEY (migration, environment, observation_id)
        REFERENCES orgrecon_observation (migration, environment, id)
)

CREATE TABLE orgrecon_notification (
    number {number} NOT NULL,
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    channel {name} NOT NULL,
    topic {name} NOT NULL,
    state TEXT NOT NULL,
    recorded_at {instant} NOT NULL,
    CONSTRAINT pk_orgrecon_notification PRIMARY KEY (number)
)

CREATE INDEX ix_orgrecon_notification_migration_environment_channel_topic
    ON orgrecon_notification (migration, environment, channel, topic)

CREATE TABLE orgrecon_shard_result (
    observation BIGINT NOT NULL,
    shard {name} NOT NULL,
    exact INTEGER NOT NULL,
    result TEXT NOT NULL,
    CONSTRAINT pk_orgrecon_shard_result PRIMARY KEY (observation, shard),
    CONSTRAINT ck_orgrecon_shard_result_exact CHECK (exact IN (0, 1)),
    CONSTRAINT fk_orgrecon_shard_result_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE TABLE orgrecon_fingerprint (
    observation BIGINT NOT NULL,
    shard {name} NOT NULL,
    ordinal INTEGER NOT NULL,
    tenants {name} NOT NULL,
    piece {bytes} NOT NULL,
    CONSTRAINT pk_orgrecon_fingerprint PRIMARY KEY (observation, shard, ordinal),
    CONSTRAINT fk_orgrecon_fingerprint_observation FOREIGN KEY (observation) REFERENCES orgrecon_observation (number)
) {without_rowid}

CREATE TABLE orgrecon_tenant_set (
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    digest {name} NOT NULL,
    ordinal INTEGER NOT NULL,
    piece {bytes} NOT NULL,
    CONSTRAINT pk_orgrecon_tenant_set PRIMARY KEY (migration, environment, digest, ordinal)
)

CREATE TABLE orgrecon_link (
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    position BIGINT NOT NULL,
    kind {name} NOT NULL,
    subject BIGINT NOT NULL,
    detail {name},
    hash {name} NOT NULL,
    entry TEXT NOT NULL,
    CONSTRAINT pk_orgrecon_link PRIMARY KEY (migration, environment, position),
    CONSTRAINT ck_orgrecon_link_kind
        CHECK (kind IN ('observation', 'ready_tenants', 'acknowledgement', 'shard_result', 'redaction'))
) {without_rowid}

CREATE INDEX ix_orgrecon_link_kind_subject ON orgrecon_link (kind, subject)

CREATE TABLE orgrecon_redaction (
    number {number} NOT NULL,
    migration {name} NOT NULL,
    environment {name} NOT NULL,
    position BIGINT NOT NULL,
    pseudonym {name} NOT NULL,
    name_hash {name} NOT NULL,
    reason TEXT NOT NULL,
    recorded_at {instant} NOT NULL,
    CONSTRAINT pk_orgrecon_redaction PRIMARY KEY (number),
    CONSTRAINT uq_orgrecon_redaction_migration_environment_position UNIQUE (migration, environment, position),
    CONSTRAINT fk_orgrecon_redaction_link FOREIGN KEY (migration, environment, position)
        REFERENCES orgrecon_link (migration, environment, position) DEFERRABLE INITIALLY DEFERRED
)

CREATE TABLE orgrecon_redacted_part (
    redaction BIGINT NOT NULL,
    position BIGINT NOT NULL,
    part {name} NOT NULL,
    before {name} NOT NULL,
    after {name} NOT NULL,
    CONSTRAINT pk_orgrecon_redacted_part PRIMARY KEY (redaction, position, part),
    CONSTRAINT fk_orgrecon_redacted_part_redaction FOREIGN KEY (redaction) REFERENCES orgrecon_redaction (number)
) {without_rowid}
