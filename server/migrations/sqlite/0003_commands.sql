-- Commands that are kept, all their versions, and which one an invocation runs.

CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    used_ms BIGINT
);
CREATE INDEX commands_name ON commands (name);

CREATE TABLE command_versions (
    command_id BIGINT NOT NULL,
    version INT NOT NULL,
    changed_ms BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    content_digest BLOB,
    content_bytes BIGINT NOT NULL,
    draft TEXT NOT NULL,
    PRIMARY KEY (command_id, version)
);

CREATE TABLE command_tags (
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    command_id BIGINT NOT NULL,
    PRIMARY KEY (key, value, command_id)
) WITHOUT ROWID;
CREATE INDEX command_tags_command ON command_tags (command_id);

ALTER TABLE invocations ADD COLUMN command_uid TEXT;
ALTER TABLE invocations ADD COLUMN command_version INT;
CREATE INDEX invocations_command ON invocations (command_uid)
    WHERE command_uid IS NOT NULL AND finished_ms IS NULL;
