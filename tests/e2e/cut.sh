#!/bin/bash
# The peer, or what is between, ends a connection at any byte: by a reset, a FIN, a FIN in one direction, silence. Nothing
# hangs, no cut stream looks whole, and afterwards no descriptor and no memory is missing.
# limit: 300
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

LIMIT=200
cut=$PROGS/cut.py
mesh STRICT ISTIO_MUTUAL
sed -i 's/^trustDomain.*/&\nhandshake_timeout = 2s\nlinger = 2s/' "$T/mesh.ini"
E2E_LOG=error WAY=strict
resident() { awk '/VmRSS/ { print $2 }' "/proc/${PIDS[$1]}/status"; }
few_descriptors() { [ "$(descriptors server)" -le $((before + 4)) ]; }

start server app/server python3 "$cut" serve "$IP" 7000
wait_listen server 7000
start proxy - python3 "$cut" proxy "$IP" 7001 7000
wait_listen proxy 7001
before=$(descriptors server)
for round in 1 2; do
    run app/client python3 "$cut" ask "$IP" 7001 >"$T/log/asked"
    hasnt "$T/log/asked" '^\('
    [ "$(sed -nE 's/^descriptors ([0-9]+) more/\1/p' "$T/log/asked")" -le 4 ] || fail "$(cat "$T/log/asked")"
    wait_until 40 few_descriptors
    [ "$round" = 2 ] || memory=$(resident server)
done
hasnt "$T/log/server" '.'
[ "$(resident server)" -le $((memory + 8000)) ] || fail "the server grew from $memory to $(resident server) KB"
