#!/bin/sh
# Makes what docker-compose.yml expects in deploy/private, before its first start: passwords of the stores, the keys of this
# installation, and outside/settings.env to fill in. What is there is kept, so running it again does no harm.
#
# Containers read the files as users of their own, so the files are open to all and the folder around them only to its owner.
# TENANT_KEY names every conversation: back it up, and never change it.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p private/outside
chmod 700 private

keep() { [ -s "private/$1" ] || printf '%s\n' "$2" >"private/$1"; }
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in admin_token tenant_key session_key postgres_password redis_password clickhouse_password; do
  keep "$name" "$(random)"
done
keep database_url "postgres://bma:$(cat private/postgres_password)@postgres:5432/bma"
keep redis_users "user default on >$(cat private/redis_password) ~* &* +@all"
keep redis_url "redis://default:$(cat private/redis_password)@redis:6379"
keep clickhouse_url "http://bma:$(cat private/clickhouse_password)@clickhouse:8123/default"
keep outside/settings.env "# Settings of the outside systems, for the api and the connectors; docs/SETTINGS.md has them all.
# A secret goes into a file beside this one (chmod 644) and is named here as NAME_FILE. Inside, this folder is /outside.
#LOG_LEVEL=info
#CONTROL_TRUST=hinted
#VENUES_CSV=/outside/venues.csv
#SOUNDTRACK_API_TOKEN_FILE=/outside/soundtrack_api_token
#WHATSAPP_PHONE_NUMBER_ID=
#WHATSAPP_ACCESS_TOKEN_FILE=/outside/whatsapp_access_token
#WHATSAPP_APP_SECRET_FILE=/outside/whatsapp_app_secret
#WHATSAPP_VERIFY_TOKEN_FILE=/outside/whatsapp_verify_token"

echo 'deploy/private is ready: fill in deploy/private/outside/settings.env; the API token is in deploy/private/admin_token'
