#!/bin/bash
# mariadbd, where the server speaks first: its client, a 10 MB blob, many connections at once.
# limit: 420
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

owner=$(id -un)
[ "$(id -u)" -ne 0 ] || owner=nobody
mkdir "$T/data"
chown "$owner" "$T/data"
mariadb-install-db --no-defaults --user="$owner" --datadir="$T/data" --auth-root-authentication-method=normal \
    --skip-test-db >"$T/log/install" 2>&1
head -c 7500000 /dev/urandom | base64 -w 0 >"$T/big"
sum=$(md5sum <"$T/big" | cut -d ' ' -f 1)

sql() { client mariadb --no-defaults --skip-ssl -h "$IP" -P 3306 -u app -N -B --max-allowed-packet=64M "$@"; }

scenario() {
    local n
    serve mariadb mariadbd --no-defaults --user="$owner" --datadir="$T/data" --bind-address="$IP" --port=3306 \
        --socket="$T/data/socket" --max-allowed-packet=64M --innodb-buffer-pool-size=32M --skip-name-resolve \
        --innodb-flush-log-at-trx-commit=0 --pid-file="$T/data/pid"
    wait_listen mariadb 3306
    mariadb --no-defaults -S "$T/data/socket" -u root -e "create database if not exists d; create user if not exists app; grant all on d.* to app; create or replace table d.t (n int, line longtext)"
    equal select "$MARK" "$(sql -e "select '$MARK'")"
    { printf "insert into d.t values (1, '" && cat "$T/big" && echo "');"; } | sql
    equal 'checksum in the server' "$sum" "$(sql -e 'select md5(line) from d.t where n = 1')"
    equal 'checksum in the client' "$sum" "$(sql -e 'select line from d.t where n = 1' | tr -d '\n' | md5sum | cut -d ' ' -f 1)"
    for n in {1..10}; do
        start "user$n" "$CLIENT" mariadb --no-defaults --skip-ssl -h "$IP" -P 3306 -u app -N -B -e "insert into d.t values (100 + $n, '$MARK'); select sleep(0.3); select 'done'"
    done
    for n in {1..10}; do
        join "user$n" 30
        has "$T/log/user$n" 'done'
    done
    equal rows 10 "$(sql -e 'select count(*) from d.t where n > 100')"
    stop mariadb
}
three_ways scenario
