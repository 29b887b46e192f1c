#!/bin/bash
# I4: what was written before a close is delivered, also where no further descriptor is to be had to hold the connection
# meanwhile; and the number is free afterwards.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
full=$(program no_numbers)
COUNT=20 E2E_LOG=warn
scenario() {
    local limit bytes=${#MARK}
    for limit in 64:64 64:4096; do
        rm -f "$T/log/sink"
        serve sink "$talk" sink "$IP" 7000 $((COUNT + 1))
        wait_listen sink 7000
        equal "limits of $limit" "$COUNT numbers were free" \
            "$(client bash -c "ulimit -Sn ${limit%:*}; ulimit -Hn ${limit#*:}; exec $full $IP 7000 $COUNT $MARK")"
        join sink 60
        equal 'connections with all their bytes' $((COUNT + 1)) "$(grep -c "^$bytes [0-9a-f]* end\$" "$T/log/sink")"
    done
}
three_ways scenario
