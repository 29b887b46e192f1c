#!/bin/bash
# I4, I6: what threads, jumps, handlers and cancellations do to a blocked call, plain and wrapped alike.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
threads=$(program inv_threads)
cat >"$T/expected" <<'END'
the only thread, cancelled by itself before a read: cancelled
no waiting beside a blocked reader: Resource temporarily unavailable, poll 0, reader 3
jump out of a blocked read: Resource temporarily unavailable, then 5 bytes
a handler reads what the thread waits for: Resource temporarily unavailable inside, 5 bytes outside
shutdown under a blocked writer: Broken pipe
close under a blocked reader: the new number is left alone
close under a reader in the handshake: the new number is left alone
close under a blocked writer: number used again, nothing in the pipe
cancelled in a read, closed in the clean-up: cancelled, the peer sees 0
cancelled in a write: cancelled
select and read in a thread with little stack: 4 bytes
END
WAY=plain
run - "$threads" "$IP" 7000 >"$T/log/plain"
diff "$T/expected" "$T/log/plain"
WAY=strict
for _ in 1 2 3; do
    run app/server "$threads" "$IP" 7000 >"$T/log/wrapped"
    diff "$T/expected" "$T/log/wrapped"
done
