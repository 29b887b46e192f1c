#!/bin/bash
# I2 at the end of a connection: what a library's destructor writes after our farewell, what a thread writes while the
# process ends, and what one writes while another closes never leaves in the clear.
# limit: 400
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

PLAIN="the last words in the clear"
gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -shared -fPIC -DLIBRARY -o "$T/libkeep.so" "$PROGS/late_writer.c"
gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -o "$T/late_writer" "$PROGS/late_writer.c" \
    -L"$T" -lkeep -Wl,-rpath,"$T"
late=$T/late_writer

scenario() {
    local how
    serve late "$late" serve "$IP" 7000
    wait_listen late 7000
    for how in return exit _exit; do
        client "$late" destructor "$IP" 7000 "$PLAIN" $how
        client "$late" thread "$IP" 7000 "$PLAIN" $how
    done
    equal races 'closed 400' "$(client "$late" race "$IP" 7000 "$PLAIN" 400)"
}
mesh STRICT ISTIO_MUTUAL
sed -i 's/^trustDomain.*/&\nlinger = 1s/' "$T/mesh.ini"
SERVER=app/server CLIENT=app/client WAY=strict
capture_start
scenario
capture_stop
! wire_has "$PLAIN" || fail 'last words are on the wire in the clear'
equal 'plain directions on the wire' 0 "$(wire_count plain)"
