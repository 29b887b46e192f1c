#!/bin/bash
# Erlang's gen_tcp: eight processes at once, active and passive sockets, 5 MB each way.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve erlang escript "$PROGS/echo.erl" serve "$IP" 7000
    wait_listen erlang 7000
    equal client 'all came back' "$(client escript "$PROGS/echo.erl" use "$IP" 7000 "$MARK")"
    stop erlang
    hasnt "$T/log/erlang" 'error'
}
three_ways scenario
