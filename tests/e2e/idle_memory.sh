#!/bin/bash
# What an idle connection keeps in memory, on each side: no more than 3 KB.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

many=$(program many)
count=1500
ulimit -n $((count + 200)) || fail "a process may not have $((count + 200)) descriptors here"
WAY=strict
mesh STRICT ISTIO_MUTUAL
start server app/server "$many" serve "$IP" 7000
wait_listen server 7000

# Without pages of files: the sides' own ones and those of the arena that they share with nobody.
held() { awk '/^Rss(Anon|Shmem):/ { sum += $2 } END { print sum * 1024 }' "/proc/$1/status"; }
mkfifo "$T/go" "$T/said"
start client app/client bash -c 'exec "$0" stand "$1" 7000 "$2" <"$3/go" >"$3/said"' "$many" "$IP" "$count" "$T"
exec {go}>"$T/go" {said}<"$T/said"
stands() {
    local n
    read -r -t "$LIMIT" n <&"$said" || fail 'the client said nothing'
    equal stands "$1" "$n"
}
stands $((count / 10))
server=$(held "${PIDS[server]}") client=$(held "${PIDS[client]}")
echo >&"$go"
stands $((count - 1))
each=$((count - 1 - count / 10))
for side in server client; do
    grown=$((($(held "${PIDS[$side]}") - ${!side}) / each))
    say "$side: $grown bytes for each connection"
    [ "$grown" -le 3072 ] || fail "the $side keeps $grown bytes for each idle connection"
done
