-- Up to which instance all that was released was waited for as long as it may take, and up to which nothing of it is open: what lies
-- below is not looked at again.

ALTER TABLE invocations ADD COLUMN roll_waited BIGINT NOT NULL DEFAULT 0;
ALTER TABLE invocations ADD COLUMN roll_floor BIGINT NOT NULL DEFAULT 0;
