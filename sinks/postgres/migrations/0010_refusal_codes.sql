-- Why a command was refused, as a code: its reason is for people. Null for other outcomes, and where it is not known.
ALTER TABLE commands ADD COLUMN code text;
