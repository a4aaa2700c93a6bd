# First start on an empty volume: makes the cluster, the user and the database, and runs the scripts that were mounted.
# Sourced by entrypoint.sh, whose variables it uses.
INITDB_SCRIPTS=/docker-entrypoint-initdb.d
PREINITDB_SCRIPTS=/docker-entrypoint-preinitdb.d

# Until all of it is done the server listens on 127.0.0.1 alone, so no client sees half a database.
start_for_setup() {
    pg_ctl start --silent --wait --pgdata "$PGDATA" --timeout "${POSTGRESQL_INIT_MAX_TIMEOUT:-60}" \
        --options "--config-file=$CONF/postgresql.conf --hba-file=$STATE/setup_hba.conf -c listen_addresses=127.0.0.1"
}

# $1 database; SQL from standard input. Init scripts may read the container's environment with \getenv.
sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --host 127.0.0.1 --port "$PORT" --username postgres --dbname "$1"; }

run_script() {
    log "Running $1"
    case $1 in
        *.sh) if [[ -x $1 ]]; then "$1"; else . "$1"; fi ;;
        *.sql) sql "${PG_DATABASE:-postgres}" < "$1" ;;
        *.sql.gz) gunzip -c "$1" | sql "${PG_DATABASE:-postgres}" ;;
        *) log "Ignoring $1: not .sh, .sql or .sql.gz" ;;
    esac
}

run_scripts_in() {
    local script
    while IFS= read -r -d '' script; do
        run_script "$script"
    done < <(find -L "$1" -maxdepth 1 -type f -print0 2>/dev/null | sort -z)
}

run_scripts_in "$PREINITDB_SCRIPTS"
log "Initializing PostgreSQL database..."
# shellcheck disable=SC2086 # several arguments are meant
initdb --pgdata "$PGDATA" --username postgres --encoding UTF8 --locale C.UTF-8 --auth scram-sha-256 \
    --pwfile <(printf '%s\n' "${POSTGRES_ADMIN_PASSWORD:-unused-$RANDOM$RANDOM$RANDOM}") ${POSTGRESQL_INITDB_ARGS:-} > /dev/null
# Nothing but this container reaches 127.0.0.1, and the scripts need no password there.
echo 'host all all 127.0.0.1/32 trust' > "$STATE/setup_hba.conf"
start_for_setup
export PGHOST=127.0.0.1 PGPORT=$PORT PGUSER=postgres PGPASSWORD=$POSTGRES_ADMIN_PASSWORD
if [[ $PG_USER != postgres ]]; then
    printf '%s\n' '\getenv name floe_user' '\getenv secret floe_secret' 'CREATE ROLE :"name" LOGIN CREATEDB PASSWORD :'"'secret'"';' \
        | floe_user=$PG_USER floe_secret=$PG_PASSWORD sql postgres
fi
if [[ -n $PG_DATABASE && $PG_DATABASE != postgres ]]; then
    printf '%s\n' '\getenv db floe_db' '\getenv name floe_user' 'CREATE DATABASE :"db" OWNER :"name";' \
        | floe_db=$PG_DATABASE floe_user=$PG_USER sql postgres
fi
run_scripts_in "$INITDB_SCRIPTS"
unset PGHOST PGPORT PGUSER PGPASSWORD
pg_ctl stop --silent --wait --mode fast --pgdata "$PGDATA"
rm -f "$STATE/setup_hba.conf"
touch "$VOLUME/.user_scripts_initialized"
log "Initialized"
