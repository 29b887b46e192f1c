#!/bin/bash
# 100,000 connections one after another, by one process: descriptors, memory and threads of both ends stay as they were after
# the first tenth.
# limit: 900
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

many=$(program many)
WAY=strict LIMIT=850
mesh STRICT ISTIO_MUTUAL
start server app/server "$many" serve "$IP" 7000
wait_listen server 7000
resident() { awk '{print $2 * 4}' "/proc/${PIDS[server]}/statm"; }
threads() { find "/proc/${PIDS[server]}/task" -mindepth 1 -maxdepth 1 | wc -l; }
few_threads() { [ "$(threads)" -le 1 ]; }
run app/client "$many" row "$IP" 7000 10000 >"$T/warm"
wait_until 20 few_threads
had=$(descriptors server) first=$(resident)
run app/client "$many" row "$IP" 7000 100000 >"$T/seen"
wait_until 20 few_threads
equal 'descriptors of the server' "$had" "$(descriptors server)"
second=$(resident)
say "server: $first KB, then $second KB; client: $(tr '\n' ';' <"$T/seen")"
[ $((second - first)) -le 8192 ] || fail "the server grew from $first to $second KB"
awk '{d[NR] = $3; m[NR] = $5} END {exit !(NR == 2 && d[1] == d[2] && m[2] - m[1] <= 8192)}' "$T/seen" ||
    fail "the client grew: $(cat "$T/seen")"
hasnt "$T/log/server" .
