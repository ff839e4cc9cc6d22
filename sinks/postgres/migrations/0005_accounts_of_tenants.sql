-- An account is of its tenant: the subject of a token says who somebody is among those of one tenant, never among all.

ALTER TABLE leads DROP CONSTRAINT leads_assigned_to_fkey;
ALTER TABLE tasks DROP CONSTRAINT tasks_assigned_to_fkey;
ALTER TABLE users DROP CONSTRAINT users_pkey;
ALTER TABLE users ADD PRIMARY KEY (tenant, id);

ALTER TABLE leads ADD COLUMN tenant text NOT NULL DEFAULT 'main';
ALTER TABLE leads ADD FOREIGN KEY (tenant, assigned_to) REFERENCES users (tenant, id) ON DELETE SET NULL (assigned_to);
ALTER TABLE tasks ADD COLUMN tenant text NOT NULL DEFAULT 'main';
ALTER TABLE tasks ADD FOREIGN KEY (tenant, assigned_to) REFERENCES users (tenant, id) ON DELETE SET NULL (assigned_to);

-- A key is somebody's: of a user, or of nobody, where the installation's own token made it. It ends with them.
ALTER TABLE api_keys ADD COLUMN owner text;
ALTER TABLE api_keys ADD COLUMN made_with text REFERENCES api_keys ON DELETE SET NULL; -- the key that made it
CREATE INDEX idx_api_keys_owner ON api_keys (tenant, owner);
CREATE INDEX idx_api_keys_made_with ON api_keys (made_with);
UPDATE api_keys k SET made_with = m.id FROM api_keys m WHERE m.id = k.created_by AND m.tenant = k.tenant AND m.id <> k.id;
WITH RECURSIVE owned AS (
  SELECT k.id, u.id AS owner FROM api_keys k JOIN users u ON u.tenant = k.tenant AND u.id = k.created_by
  UNION
  SELECT k.id, o.owner FROM api_keys k JOIN owned o ON k.made_with = o.id
)
UPDATE api_keys k SET owner = o.owner FROM owned o WHERE o.id = k.id;

-- Who gave a command: kind, tenant and id, so that nobody is taken for another with the same id.
UPDATE commands c SET principal = CASE
  WHEN c.principal = 'admin-token' THEN 'token:main:admin-token'
  ELSE coalesce(
    (SELECT 'key:' || k.tenant || ':' || k.id FROM api_keys k WHERE k.id = c.principal),
    (SELECT 'user:' || u.tenant || ':' || u.id FROM users u WHERE u.id = c.principal),
    'user:main:' || c.principal)
  END;
