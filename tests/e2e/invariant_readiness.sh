#!/bin/bash
# I1: poll, ppoll, select, pselect and epoll (level, edge, one-shot, nested) tell the truth about plaintext, blocking and
# not, on either side, whatever records a foreign peer sends and however they come, also while we look.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

ready=$(program inv_ready "$PROGS/inv_ready_ways.c" "$PROGS/inv_between.c")
peer=$(program inv_peer "$PROGS/inv_gather.c" -lssl -lcrypto)
mesh STRICT ISTIO_MUTUAL

# The peer is the service when the tested side connects, and a client of it when that accepts.
for side in client server; do
    for version in 13 12; do
        WAY=$side.$version
        start peer - "$peer" "$T/peer.$WAY" "$IP" 7000 "$T/certs/app"
        wait_until 10 test -S "$T/peer.$WAY"
        run "app/$side" "$ready" "$T/peer.$WAY" "$IP" 7000 $side $version >"$T/log/ready" ||
            fail "$(tail -n 1 "$T/log/ready")"
        equal 'ways that told the truth' 11 "$(grep -c ': true$' "$T/log/ready")"
        stop peer
    done
done
