#!/bin/bash
# A ring of io_uring moves bytes where no hook sees them: programs under a table get none, all others what they would get anyway.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

gcc -D_GNU_SOURCE -Wall -Wextra -Werror -o "$T/linked" "$PROGS/mesh_uring.c" -l:liburing.so.2
gcc -D_GNU_SOURCE -Wall -Wextra -Werror -DLATE -o "$T/late" "$PROGS/mesh_uring.c"
mesh STRICT ISTIO_MUTUAL
for how in linked late; do
    equal "$how, under a table" '-38 -38' "$(run app/client "$T/$how")"
    equal "$how, without a table" "$("$T/$how")" "$(env LD_PRELOAD="$BUILD/libmtlswrap.so" "$T/$how")"
done
