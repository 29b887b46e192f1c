#!/bin/bash
# The process that began a handshake closes the connection before the peer has answered; its child goes on with it. The handshake is
# finished for the child, and nobody says goodbye in its name.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve late python3 "$PROGS/fork_handshake.py" serve "$IP" 7001 "$T/$WAY/gate"
    wait_listen late 7001
    equal 'the child' "$(printf '%s\n' "$MARK 0" "$MARK 1" "$MARK 2" 0)" \
        "$(client python3 "$PROGS/fork_handshake.py" use "$IP" 7001 "$T/$WAY/gate" "$MARK")"
    join late 20
    equal 'the peer' end "$(cat "$T/log/late")"
    rm "$T/log/late"
}
three_ways scenario plain strict permissive disable
