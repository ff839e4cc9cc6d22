-- What has become of a command: profiles tell it for the newest only.
ALTER TABLE commands ADD COLUMN outcome text, ADD COLUMN reason text; -- handled, refused, skipped, parked; null: not known yet
CREATE INDEX idx_commands_pending ON commands (created_at) WHERE outcome IS NULL;
