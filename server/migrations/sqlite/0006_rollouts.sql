-- Rollouts: how an invocation spreads, and how far it is. What is held back has a task and no delivery; tasks are released in the order
-- of their keys, up to the cursor.

ALTER TABLE invocations ADD COLUMN rollout TEXT;
ALTER TABLE invocations ADD COLUMN roll_active INT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_released BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_cursor BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_forgiven BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_confirmed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_lost BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_idle_ms BIGINT;
ALTER TABLE invocations ADD COLUMN roll_due_ms BIGINT;
ALTER TABLE invocations ADD COLUMN roll_halted TEXT;
CREATE INDEX invocations_rolling ON invocations (id) WHERE roll_active = 1;

-- Whether deliveries of an order come later than the order.
ALTER TABLE orders ADD COLUMN rolled INT NOT NULL DEFAULT 0;

-- When which tasks were released. Rows are deleted, so its size is that of the open work.
CREATE TABLE rollout_releases (
    invocation_id BIGINT NOT NULL,
    upto BIGINT NOT NULL,
    released_ms BIGINT NOT NULL,
    PRIMARY KEY (invocation_id, upto)
);
