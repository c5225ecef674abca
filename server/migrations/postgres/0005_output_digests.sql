-- By what results are grouped and compared: SHA-256 of a task's whole output, as its receipt says.

ALTER TABLE tasks ADD COLUMN output_digest BYTEA;
