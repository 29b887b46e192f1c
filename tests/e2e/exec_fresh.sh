#!/bin/bash
# A connection that is made and handed to another program by exec at once: the handshake begins once, in whichever program.
# limit: 300
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
WAY=strict
start raw app/server python3 "$PROGS/py_raw.py" "$IP" 7000
wait_listen raw 7000
equal 'programs that got their line' '200 of 200' "$(run app/client python3 "$PROGS/exec_fresh.py" "$IP" 7000 200)"
