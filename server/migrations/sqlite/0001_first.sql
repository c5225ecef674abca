-- The first schema. Times are Unix milliseconds; truth values are 0 or 1; digests are 32 raw bytes.

CREATE TABLE instances (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    public_key BLOB NOT NULL,
    facts TEXT NOT NULL,
    enrolled_ms BIGINT NOT NULL
);

-- Apart from instances: written all the time, in batches.
CREATE TABLE instance_seen (
    instance_id INTEGER PRIMARY KEY,
    last_seen_ms BIGINT NOT NULL,
    boot_id TEXT NOT NULL,
    keyring_revision BIGINT NOT NULL
);

CREATE TABLE instance_tags (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    instance_id BIGINT NOT NULL,
    PRIMARY KEY (key, value, instance_id)
) WITHOUT ROWID;
CREATE INDEX instance_tags_instance ON instance_tags (instance_id);

CREATE TABLE activations (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT,
    code_hash BLOB NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    max_instances INT NOT NULL,
    used INT NOT NULL DEFAULT 0,
    disabled INT NOT NULL DEFAULT 0,
    tags TEXT NOT NULL,
    networks TEXT NOT NULL
);

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);

CREATE TABLE keyrings (
    revision BIGINT PRIMARY KEY,
    root BLOB NOT NULL,
    envelope BLOB NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE plugins (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    summary TEXT NOT NULL,
    component BLOB NOT NULL,
    component_bytes BIGINT NOT NULL,
    manifest_digest BLOB NOT NULL,
    publisher TEXT NOT NULL,
    tier TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    approval_revision BIGINT,
    created_ms BIGINT NOT NULL,
    manifest BLOB NOT NULL,
    statement BLOB NOT NULL,
    approval BLOB,
    UNIQUE (name, version)
);

-- What lies in the blob directory; nothing else there is served.
CREATE TABLE blobs (
    digest BLOB PRIMARY KEY,
    bytes BIGINT NOT NULL,
    created_ms BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE invocations (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT,
    kind TEXT NOT NULL,
    summary TEXT NOT NULL,
    principal TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    deadline_ms BIGINT NOT NULL,
    finished_ms BIGINT,
    order_digest BLOB NOT NULL,
    plugin_id BIGINT,
    targets BIGINT NOT NULL,
    n_pending BIGINT NOT NULL,
    n_scheduled BIGINT NOT NULL DEFAULT 0,
    n_running BIGINT NOT NULL DEFAULT 0,
    n_stopping BIGINT NOT NULL DEFAULT 0,
    n_success BIGINT NOT NULL DEFAULT 0,
    n_failed BIGINT NOT NULL DEFAULT 0,
    n_error BIGINT NOT NULL DEFAULT 0,
    n_timeout BIGINT NOT NULL DEFAULT 0,
    n_invalid BIGINT NOT NULL DEFAULT 0,
    n_aborted BIGINT NOT NULL DEFAULT 0,
    n_cancelled BIGINT NOT NULL DEFAULT 0,
    n_terminated BIGINT NOT NULL DEFAULT 0,
    n_stopped BIGINT NOT NULL DEFAULT 0,
    content BLOB
);
CREATE INDEX invocations_waiting ON invocations (deadline_ms) WHERE n_pending > 0;

-- The table that grows: no other index, and nothing long in its rows.
CREATE TABLE tasks (
    invocation_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    status INT NOT NULL,
    generation INT NOT NULL,
    proven INT NOT NULL DEFAULT 0,
    exit_code INT,
    code TEXT,
    started_ms BIGINT,
    finished_ms BIGINT,
    output_bytes BIGINT NOT NULL DEFAULT 0,
    dropped_bytes BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (invocation_id, instance_id)
) WITHOUT ROWID;

-- What is long about a task that ended. A rowid table: blobs over 1 KB and WITHOUT ROWID do not mix.
CREATE TABLE results (
    id INTEGER PRIMARY KEY,
    invocation_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    reason TEXT,
    check_code TEXT,
    receipt BLOB NOT NULL,
    output BLOB NOT NULL,
    report BLOB,
    UNIQUE (invocation_id, instance_id)
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    invocation_id BIGINT NOT NULL,
    kind INT NOT NULL,
    expires_ms BIGINT NOT NULL,
    envelope BLOB NOT NULL,
    targets BLOB
);
CREATE INDEX orders_invocation ON orders (invocation_id);

-- What still has to reach an instance. Rows are deleted, so its size is that of the open work.
CREATE TABLE deliveries (
    instance_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    PRIMARY KEY (instance_id, order_id)
) WITHOUT ROWID;
CREATE INDEX deliveries_order ON deliveries (order_id, instance_id);
