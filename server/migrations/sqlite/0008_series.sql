-- Series: what an invocation's order says of one, its runs, and what was left out.

ALTER TABLE invocations ADD COLUMN series TEXT;

-- A run goes in when it begins or ends, whichever is heard first. What is long about it is in the same row: it is read one by one.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    invocation_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    generation INT NOT NULL,
    status INT NOT NULL,
    due_ms BIGINT NOT NULL,
    late TEXT,
    exit_code INT,
    code TEXT,
    reason TEXT,
    check_code TEXT,
    started_ms BIGINT,
    finished_ms BIGINT,
    output_bytes BIGINT NOT NULL DEFAULT 0,
    dropped_bytes BIGINT NOT NULL DEFAULT 0,
    output_digest BLOB,
    receipt_digest BLOB,
    receipt BLOB,
    output BLOB,
    report BLOB,
    UNIQUE (invocation_id, instance_id, generation)
);
CREATE INDEX runs_invocation ON runs (invocation_id, id);

-- One row for each reason, however many times: a flood of skips is a number.
CREATE TABLE skips (
    invocation_id BIGINT NOT NULL,
    instance_id BIGINT NOT NULL,
    reason TEXT NOT NULL,
    first_ms BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    counted_all INT NOT NULL,
    told_ms BIGINT NOT NULL,
    -- The report that came last, which may come again with more folded into it.
    newest_first_ms BIGINT NOT NULL,
    newest_skipped BIGINT NOT NULL,
    PRIMARY KEY (invocation_id, instance_id, reason)
) WITHOUT ROWID;
