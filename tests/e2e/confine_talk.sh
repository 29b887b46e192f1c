#!/bin/bash
# Programs that put themselves behind a seccomp filter once they are connected: what kills, what answers EPERM or ENOSYS,
# several filters, the strict mode; 1 byte to 10 MB both ways, readers smaller than records, by every way to wait.
# limit: 400
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program confine_talk)
PORT=7100

# One conversation; either end may be the confined one. The other end waits by blocking reads.
converse() { # SERVER-FILTER CLIENT-FILTER LOOP BYTES BUFFER
    local late=none
    rm -f "$T/log/server"
    PORT=$((PORT + 1))
    case $1$2 in *late-*) late="late-none" ;; esac
    serve server "$talk" server "${1/#none/$late}" "$([ "$1" = none ] && echo read || echo "$3")" "$4" "$5" "$IP" $PORT
    wait_listen server $PORT
    equal "$* client" "client has $4" "$(client "$talk" client "${2/#none/$late}" "$([ "$2" = none ] && echo read || echo "$3")" "$4" "$5" "$IP" $PORT)"
    join server 20
    equal "$* server" "0 server has $4" "$STATUS $(cat "$T/log/server")"
}

scenario() {
    local filter loop size
    mark
    for filter in kill eperm enosys stacked late-kill late-stacked; do
        for loop in read poll ppoll select epoll nonblock; do
            converse "$filter" none "$loop" 100000 1000
            converse none "$filter" "$loop" 100000 1000
        done
        for size in '1 1' '16384 7' '16385 16384' '10000000 65536'; do
            # shellcheck disable=SC2086
            converse "$filter" none poll $size
            # shellcheck disable=SC2086
            converse none "$filter" nonblock $size
        done
    done
    for size in '1 1' '100000 777' '10000000 65536'; do
        # shellcheck disable=SC2086
        converse late-strict none read $size
    done
    converse kill kill poll 3000000 5000
}

# What three_ways looks for on the wire.
mark() {
    serve echo python3 "$PROGS/py_raw.py" "$IP" 7099
    wait_listen echo 7099
    equal mark "$MARK" "$(client "$(program guest)" tidy "$IP" 7099 "$MARK")"
    stop echo
}
three_ways scenario
