#!/bin/bash
# Starts PostgreSQL as Bitnami's image does: the same variables, folders, files of state and exit codes.
set -euo pipefail

log() { printf 'postgresql %s INFO  ==> %s\n' "$(date +%T.00)" "$*" >&2; }
fail() { printf 'postgresql %s ERROR ==> %s\n' "$(date +%T.00)" "$*" >&2; exit 1; }

# A variable may come as NAME or as the path NAME_FILE, and under either prefix: POSTGRESQL_ wins.
setting() {
    local name file
    for name in "POSTGRESQL_$1" "POSTGRES_$1"; do
        file="${name}_FILE"
        if [[ -n ${!file:-} ]]; then cat "${!file}" || fail "$file: cannot read ${!file}"; return; fi
        if [[ -n ${!name:-} ]]; then printf '%s' "${!name}"; return; fi
    done
    printf '%s' "${2:-}"
}

VOLUME=${POSTGRESQL_VOLUME_DIR:-/bitnami/postgresql}
CONF=/opt/bitnami/postgresql/conf
STATE=/opt/bitnami/postgresql/tmp
export PGDATA=${POSTGRESQL_DATA_DIR:-${PGDATA:-$VOLUME/data}}
PORT=${POSTGRESQL_PORT_NUMBER:-5432}
PG_USER=$(setting USER "$(setting USERNAME postgres)")
PG_DATABASE=$(setting DB "$(setting DATABASE)")
PG_PASSWORD=$(setting PASSWORD)
POSTGRES_ADMIN_PASSWORD=$(setting POSTGRES_PASSWORD "$PG_PASSWORD")

[[ ${1:-} == */run.sh || ${1:-} == postgres ]] || exec "$@"
if [[ -z $PG_PASSWORD && ${ALLOW_EMPTY_PASSWORD:-no} != yes ]]; then
    fail "POSTGRESQL_PASSWORD is empty or not set; set ALLOW_EMPTY_PASSWORD=yes to allow that (development only)"
fi

rm -f "$STATE/.initialized" "$PGDATA/postmaster.pid"
mkdir -p "$CONF/conf.d" "$STATE" "$PGDATA"
chmod 700 "$PGDATA"

# What is mounted into the volume's conf, such as conf.d/ of the chart's extendedConfiguration, takes the image's place.
[[ ! -d $VOLUME/conf ]] || cp -fr "$VOLUME/conf/." "$CONF"
# Settings of the image, then those of conf.d, last one wins.
[[ -f $CONF/postgresql.conf ]] || cat > "$CONF/postgresql.conf" <<CONFIGURATION
listen_addresses = '*'
port = $PORT
unix_socket_directories = '/tmp'
log_destination = 'stderr'
log_line_prefix = '${POSTGRESQL_LOG_LINE_PREFIX:-%m [%p] }'
log_timezone = '${POSTGRESQL_LOG_TIMEZONE:-Etc/UTC}'
log_connections = ${POSTGRESQL_LOG_CONNECTIONS:-off}
log_disconnections = ${POSTGRESQL_LOG_DISCONNECTIONS:-off}
client_min_messages = ${POSTGRESQL_CLIENT_MIN_MESSAGES:-error}
shared_preload_libraries = ''
password_encryption = 'scram-sha-256'
fsync = ${POSTGRESQL_FSYNC:-on}
jit = off
include_dir = '$CONF/conf.d'
CONFIGURATION
[[ -f $CONF/pg_hba.conf ]] || cat > "$CONF/pg_hba.conf" <<RULES
local all all               scram-sha-256
host  all all 0.0.0.0/0     scram-sha-256
host  all all ::/0          scram-sha-256
RULES

log "PostgreSQL $(postgres --version | cut -d' ' -f3) of Debian, entered as Bitnami's image"
if [[ -s $PGDATA/PG_VERSION ]]; then
    log "Deploying PostgreSQL with persisted data..."
else
    . /opt/bitnami/scripts/postgresql/initialize.sh
fi
touch "$STATE/.initialized"
log "** Starting PostgreSQL **"
exec postgres -D "$PGDATA" --config-file="$CONF/postgresql.conf" --hba-file="$CONF/pg_hba.conf"
