#!/bin/bash
# Python's blocking, threading, forking, selectors and asyncio servers against its blocking, threading and
# asyncio clients: every byte comes back.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    local style port=7000
    for style in threads selectors asyncio forking blocking; do
        port=$((port + 1))
        serve "$style" python3 "$PROGS/py_server.py" "$style" "$IP" $port
        wait_listen "$style" $port
        client python3 "$PROGS/py_client.py" blocking "$IP" $port "$MARK" 10000000
        [ "$style" = blocking ] || {
            client python3 "$PROGS/py_client.py" threads "$IP" $port "$MARK" 300000
            client python3 "$PROGS/py_client.py" asyncio "$IP" $port "$MARK" 300000
        }
        stop "$style"
        hasnt "$T/log/$style" Traceback
    done
}
three_ways scenario
