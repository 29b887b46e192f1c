#!/bin/bash
# I6: a program of one thread gets the lowest free number from each open(), whatever is written to the log meanwhile, also
# by our own thread about connections that the program leaves alone; and a log that is moved away is found again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

own=$(program own_numbers)
mesh STRICT ISTIO_MUTUAL
start peer - "$own" peer "$IP" 7000
wait_listen peer 7000
for WAY in plain wrapped; do
    workload=$([ $WAY = plain ] && echo - || echo app/client)
    run "$workload" "$own" connect "$IP" 7000 10 60000 >"$T/log/numbers.$WAY" 2>&1 || fail "$(cat "$T/log/numbers.$WAY")"
    equal numbers '0 wrong numbers' "$(cat "$T/log/numbers.$WAY")"
done
has "$T/log/mtls.wrapped.app.client" 'bytes that are not TLS'

# Not by chance: no thread but the program's own opens anything, the engine and the certificates neither.
WAY=traced
mapfile -t words < <(wrapping app/client)
timeout "$LIMIT" strace -f -e trace=openat,open,creat -o "$T/opened" "${words[@]/#/-E}" "$own" connect "$IP" 7000 2 600 >"$T/log/traced" 2>&1 ||
    fail "$(cat "$T/log/traced")"
has "$T/opened" '/libmtlswrap-engine.so'
main=$(sed -n '1s/ .*//p' "$T/opened")
equal 'opened by other threads' '' "$(grep -v "^$main " "$T/opened" | grep -v '+++ exited' || true)"

WAY=moved
equal 'lines in each file' 'first 1,away 1,moved 1,child 2,deleted 1,data 0,taken 2,' \
    "$(run app/client "$own" log "$IP" 7000 "$T/log/mtls.moved.app.client" "$T/data" 2>&1 | tr '\n' ,)"
