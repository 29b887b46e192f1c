#!/bin/bash
# iperf3 moves 4 parallel streams in either direction.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    local direction
    serve iperf iperf3 -s -B "$IP" -p 5201
    wait_listen iperf 5201
    for direction in '' -R; do
        # A title travels in the control connection: the marker.
        # shellcheck disable=SC2086
        client iperf3 -c "$IP" -p 5201 -P 4 -n 50M -T "$MARK" --get-server-output $direction >"$T/log/iperf$direction" 2>&1
        has "$T/log/iperf$direction" '\[SUM\].*receiver'
        hasnt "$T/log/iperf$direction" 'error'
    done
    stop iperf
}
three_ways scenario
