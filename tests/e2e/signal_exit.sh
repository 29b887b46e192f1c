#!/bin/bash
# I4, I6: _exit from a signal's handler ends the process, whatever lock of ours or of libc's the interrupted thread holds.
# limit: 400
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

LIMIT=300
mesh STRICT ISTIO_MUTUAL
sed -i 's/^trustDomain.*/&\nlinger = 1s/' "$T/mesh.ini"
E2E_LOG=error WAY=strict
start sink app/server python3 "$PROGS/py_raw.py" "$IP" 7000
wait_listen sink 7000
leaver=$(program signal_exit)
equal 'left from a handler' '150 of 150' "$(run app/client "$leaver" "$IP" 7000 150)"
