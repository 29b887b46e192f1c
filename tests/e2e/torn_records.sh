#!/bin/bash
# Records that come in pieces: a server that reads only when it is told that it may, and takes EAGAIN for a
# failure, is told so only of plaintext. The same for clients with timeouts (poll before each read).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve selectors python3 "$PROGS/py_server.py" selectors "$IP" 7001
    wait_listen selectors 7001
    start drip - python3 "$PROGS/drip.py" "$IP" 7002 7001
    wait_listen drip 7002
    client python3 "$PROGS/py_client.py" blocking "$IP" 7002 "$MARK" 300000
    client python3 "$PROGS/py_client.py" threads "$IP" 7002 "$MARK" 30000
    client python3 "$PROGS/py_client.py" asyncio "$IP" 7002 "$MARK" 30000
    stop selectors
    stop drip
    hasnt "$T/log/selectors" Traceback
}
three_ways scenario
