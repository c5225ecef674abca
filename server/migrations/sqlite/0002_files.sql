-- Files: which blobs an invocation needs, and what was collected.

CREATE TABLE blob_uses (
    digest BLOB NOT NULL,
    invocation_id BIGINT NOT NULL,
    PRIMARY KEY (digest, invocation_id)
) WITHOUT ROWID;

-- From before it was written down: a large script may be any of the blobs, so all are kept until such invocations have ended.
INSERT INTO blob_uses (digest, invocation_id)
    SELECT b.digest, v.id FROM blobs b CROSS JOIN invocations v
    WHERE v.finished_ms IS NULL AND v.kind = 'script' AND v.content IS NULL;

CREATE TABLE files (
    invocation_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    digest BLOB NOT NULL,
    bytes BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (invocation_id, instance_id)
) WITHOUT ROWID;
CREATE INDEX files_digest ON files (digest);
CREATE INDEX files_created ON files (created_ms);
