#!/bin/bash
# 500 connections at once, threads on both ends: no error, no descriptor and no thread left over.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

crowd=$(program crowd)

scenario() {
    serve server "$crowd" serve "$IP" 7000
    wait_listen server 7000
    client "$crowd" connect "$IP" 7000 50 2 "$MARK" >"$T/log/first"
    wait_until 20 quiet
    local before
    before=$(descriptors server)
    client "$crowd" connect "$IP" 7000 500 3 "$MARK" >"$T/log/client"
    equal client '1500 good, 0 bad, 0 descriptors more' "$(cat "$T/log/client")"
    wait_until 20 quiet
    equal 'descriptors of the server' "$before" "$(descriptors server)"
    hasnt "$T/log/server" .
    stop server
}
# Only the thread that accepts is left (the driver ends when it has nothing to do).
quiet() { [ "$(find "/proc/${PIDS[server]}/task" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]; }
three_ways scenario
