-- Of a record that is too large for its dead letter only the beginning is kept.
ALTER TABLE dead_letters ADD COLUMN bytes integer NOT NULL DEFAULT -1; -- of the whole record, where value is only its beginning
