#!/bin/bash
# Streams made by fdopen on connections: every mode, buffering, mixing, freopen, dprintf, programs run meanwhile. The
# transcript must be what it is on plain TCP; wide characters, which cannot be protected, must be refused.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

streams=$(program stdio_streams)
run - "$streams" "$IP" "$MARK" >"$T/expected"
grep -qx end "$T/expected" || fail 'the transcript has no end'

scenario() {
    run "$SERVER" "$streams" "$IP" "$MARK" >"$T/$WAY/seen" || fail "exit status $?"
    diff "$T/expected" "$T/$WAY/seen" >&2 || fail 'the transcripts differ'
    if [ "$WAY" = strict ]; then
        equal 'wide characters' "$(printf 'wide\n  fputws 0 flush 0 fwide 0\n  fgetws 0\n  far: 0 bytes '"''"'\nend')" \
            "$(run "$SERVER" "$streams" "$IP" "$MARK" wide)"
    fi
}
three_ways scenario strict disable
