#!/bin/bash
# A client that writes and leaves at once, in every way a process can leave: all bytes arrive, then a clean end, no reset.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)

# What a program in the clear gets to see is what every other way has to show.
expected() { # BYTES
    start reference - "$talk" sink "$IP" 7999 1
    wait_listen reference 7999
    run - "$talk" pour "$IP" 7999 "$1" close
    join reference 10
    cat "$T/log/reference"
    rm "$T/log/reference"
}

scenario() {
    local how bytes
    for bytes in 1 100000 3000000; do
        for how in close exit _exit quick_exit exec shutdown; do
            serve sink "$talk" sink "$IP" 7001 1
            wait_listen sink 7001
            client "$talk" pour "$IP" 7001 $bytes $how
            join sink 20
            equal "$bytes bytes, then $how" "${want[$bytes]}" "$(cat "$T/log/sink")"
            rm "$T/log/sink"
        done
        serve tell "$talk" tell "$IP" 7001 1 $bytes
        wait_listen tell 7001
        equal "server tells $bytes bytes and closes" "${want[$bytes]}" "$(client "$talk" hear "$IP" 7001)"
        join tell 20
    done
    serve sink "$talk" sink "$IP" 7001 1
    wait_listen sink 7001
    client bash -c "exec 3<>/dev/tcp/$IP/7001; echo '$MARK' >&3"
    join sink 20
    has "$T/log/sink" ' end$'
    rm "$T/log/sink"
}
declare -A want
for bytes in 1 100000 3000000; do want[$bytes]=$(expected $bytes); done
three_ways scenario
