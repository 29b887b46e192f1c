#!/bin/bash
# I2: not one application byte in the clear, however the program comes by the connection or writes to it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

leaks=$(program inv_leaks)
scenario() {
    run "$SERVER" "$leaks" "$IP" 7000 "$MARK" >"$T/log/ways"
    equal 'ways that delivered' 14 "$(grep -c ': delivered$' "$T/log/ways")"
}
three_ways scenario strict disable
