#!/bin/bash
# Perl's buffered sockets: a forking server, its own client, and Python's with 3 MB.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve perl perl "$PROGS/server.pl" "$IP" 7000
    wait_listen perl 7000
    equal client 'all came back' "$(client perl "$PROGS/client.pl" "$IP" 7000 "$MARK")"
    client python3 "$PROGS/py_client.py" blocking "$IP" 7000 "$MARK" 3000000
    client python3 "$PROGS/py_client.py" asyncio "$IP" 7000 "$MARK" 100000
    stop perl
    hasnt "$T/log/perl" .
}
three_ways scenario
