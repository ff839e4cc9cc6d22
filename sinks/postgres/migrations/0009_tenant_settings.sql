-- What each tenant has decided, and the outcomes of the commands that change it.
CREATE TABLE tenant_settings (
  id text PRIMARY KEY,
  settings_version bigint NOT NULL,
  time_zone text NOT NULL,
  support_from text NOT NULL,
  support_to text NOT NULL,
  quiet_from text,
  quiet_to text,
  country_code text NOT NULL,
  language text NOT NULL,
  control_trust text NOT NULL,
  commands jsonb NOT NULL DEFAULT '[]',
  updated_by text NOT NULL,
  updated_at timestamptz NOT NULL,
  version bigint NOT NULL
);
