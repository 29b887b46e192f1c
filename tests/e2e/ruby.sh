#!/bin/bash
# Ruby's sockets: a threaded server, its own client, and Python's with 3 MB.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve ruby ruby "$PROGS/server.rb" "$IP" 7000
    wait_listen ruby 7000
    equal client 'all came back' "$(client ruby "$PROGS/client.rb" "$IP" 7000 "$MARK")"
    client python3 "$PROGS/py_client.py" blocking "$IP" 7000 "$MARK" 3000000
    client python3 "$PROGS/py_client.py" asyncio "$IP" 7000 "$MARK" 100000
    stop ruby
    hasnt "$T/log/ruby" .
}
three_ways scenario
