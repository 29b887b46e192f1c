#!/bin/bash
# I6: a fork while other threads hold locks of ours leaves the child able to work; I3: and every peer content.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve server "$(program select_server)" "$IP" 7000
    wait_listen server 7000
    client python3 "$PROGS/py_client.py" raw "$IP" 7000 "$MARK" 1000
    equal children '0 bad' "$(client "$(program inv_forks)" "$IP" 7000 ${FORKS:-60})"
    stop server
}
three_ways scenario strict
hasnt "$T/log/mtls.strict.app.client" 'warn|error'
