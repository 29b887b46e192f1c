#!/bin/bash
# A postgres server (fork per connection, run as its own user) serves psql and pgbench; COPY moves 10 MB.
# limit: 420
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin | sort -V | tail -n 1)
as=() owner=$(id -un)
[ "$(id -u)" -ne 0 ] || as=(setpriv --reuid=postgres --regid=postgres --clear-groups) owner=postgres
head -c 7500000 /dev/urandom | base64 -w 100 >"$T/big"
mkdir "$T/data"
chown "$owner" "$T/data"
"${as[@]}" "$bin/initdb" -D "$T/data" -A trust -U app --no-sync >"$T/log/initdb" 2>&1

scenario() {
    local sql=("$bin/psql" -h "$IP" -p 5432 -U app -d postgres -qAtX -v ON_ERROR_STOP=1)
    serve postgres "${as[@]}" "$bin/postgres" -D "$T/data" -c listen_addresses="$IP" -p 5432 \
        -c unix_socket_directories= -c fsync=off -c ssl=off
    wait_listen postgres 5432
    wait_until 30 grep -q 'ready to accept' "$T/log/postgres"
    equal select "$MARK" "$(client "${sql[@]}" -c "select '$MARK'")"
    client "${sql[@]}" -c 'drop table if exists t' -c 'create table t (n serial, line text)' 2>>"$T/log/psql"
    client "${sql[@]}" -c "\\copy t (line) from '$T/big'"
    client "${sql[@]}" -c '\copy (select line from t order by n) to stdout' | cmp - "$T/big"
    client "$bin/pgbench" -h "$IP" -p 5432 -U app -i -q postgres >"$T/log/pgbench" 2>&1
    client "$bin/pgbench" -h "$IP" -p 5432 -U app -c 8 -j 2 -t 50 postgres >>"$T/log/pgbench" 2>&1
    has "$T/log/pgbench" 'actually processed: 400/400'
    client "$bin/pgbench" -h "$IP" -p 5432 -U app -C -S -c 2 -t 20 postgres >"$T/log/pgbench2" 2>&1
    has "$T/log/pgbench2" 'actually processed: 40/40'
    # A cancel request comes over a second connection.
    start sleeper "$CLIENT" "${sql[@]}" -c 'select pg_sleep(60)'
    wait_until 10 sleeping
    kill -INT "${PIDS[sleeper]}"
    join sleeper 20
    has "$T/log/sleeper" 'canceling statement due to user request'
    mv "$T/log/postgres" "$T/log/postgres.$WAY"
    stop postgres
}
sleeping() {
    [ "$(client "$bin/psql" -h "$IP" -U app -d postgres -qAtX -c "select count(*) from pg_stat_activity where query like '%pg_sleep(60)' and state = 'active' and pid <> pg_backend_pid()")" = 1 ]
}
three_ways scenario
