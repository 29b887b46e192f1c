#!/bin/bash
# Five hundred clients at once at a server that accepts and forks; clients that are killed in the midst of it; then all again.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

LIMIT=100
gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -shared -fPIC -DLIBRARY -o "$T/libkeep.so" "$PROGS/late_writer.c"
gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -o "$T/late_writer" "$PROGS/late_writer.c" \
    -L"$T" -lkeep -Wl,-rpath,"$T"
mesh STRICT ISTIO_MUTUAL
WAY=strict E2E_LOG=error
thunder() { run app/client python3 "$PROGS/thunder.py" "$IP" 7000 500; }
few_descriptors() { [ "$(descriptors server)" -le $((before + 4)) ]; }

start server app/server "$T/late_writer" serve "$IP" 7000
wait_listen server 7000
before=$(descriptors server)
equal 'greeted at first' 500 "$(thunder)"
for pause in 0.1 0.3 0.6; do
    start victim app/client python3 "$PROGS/thunder.py" "$IP" 7000 500
    sleep $pause
    kill -KILL "${PIDS[victim]}"
    stop victim
done
equal 'greeted after others were killed' 500 "$(thunder)"
wait_until 20 few_descriptors
