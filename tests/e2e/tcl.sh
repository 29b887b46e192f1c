#!/bin/bash
# Tcl's channels: an event-driven server, its own client, and Python's with 3 MB.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve tcl tclsh "$PROGS/server.tcl" "$IP" 7000
    wait_listen tcl 7000
    equal client 'all came back' "$(client tclsh "$PROGS/client.tcl" "$IP" 7000 "$MARK")"
    client python3 "$PROGS/py_client.py" blocking "$IP" 7000 "$MARK" 3000000
    client python3 "$PROGS/py_client.py" asyncio "$IP" 7000 "$MARK" 100000
    stop tcl
    hasnt "$T/log/tcl" .
}
three_ways scenario
