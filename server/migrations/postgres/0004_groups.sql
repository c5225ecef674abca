-- Saved groups: a name for a selector. Who is in a group is asked anew each time.

CREATE TABLE instance_groups (
    name TEXT PRIMARY KEY,
    selector TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    created_by TEXT NOT NULL
);
