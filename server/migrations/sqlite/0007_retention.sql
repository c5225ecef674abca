-- What is left of invocations that are kept no longer: that they were there, so that their ids never mean others.

CREATE TABLE pruned_invocations (
    uid TEXT PRIMARY KEY,
    invocation_id BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL,
    pruned_ms BIGINT NOT NULL,
    erased INT NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX pruned_invocations_open ON pruned_invocations (invocation_id) WHERE erased = 0;
