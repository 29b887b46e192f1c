#!/bin/bash
# I6: hooks work, and protect, before the preloaded object's own constructor has run.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -shared -fPIC -o "$T/libearly.so" "$PROGS/inv_early.c"
gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -DMAIN -o "$T/early" "$PROGS/inv_early.c" -L"$T" -learly -Wl,-rpath,"$T"
equal plain 'early: 6' "$("$T/early")"
equal 'preloaded without a table' 'early: 6' "$(LD_PRELOAD="$BUILD/libmtlswrap.so" "$T/early")"

scenario() {
    serve server "$(program select_server)" "$IP" 7000
    wait_listen server 7000
    export EARLY_ADDRESS=$IP EARLY_PORT=7000 EARLY_MARK=$MARK
    equal 'with a connection' 'early: 7' "$(client "$T/early")"
    unset EARLY_ADDRESS
    stop server
}
three_ways scenario
