#!/bin/bash
# Asynchronous I/O on connections: order, signals and calls at completion, cancelling, lists. The transcript must be what it
# is on plain TCP.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

aio=$(program aio_socket)
run - "$aio" "$IP" "$MARK" "$T/file" >"$T/expected"
grep -qx end "$T/expected" || fail 'the transcript has no end'

scenario() {
    run "$SERVER" "$aio" "$IP" "$MARK" "$T/file" >"$T/$WAY/seen" || fail "exit status $?"
    diff "$T/expected" "$T/$WAY/seen" >&2 || fail 'the transcripts differ'
}
three_ways scenario strict disable
