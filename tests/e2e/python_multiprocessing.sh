#!/bin/bash
# Python's managers over TCP, workers started by fork, spawn and forkserver, pools and programs started while connections are
# open, and a connection handed to another process.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve manager python3 "$PROGS/manager.py" serve "$IP" 7000
    wait_listen manager 7000
    wait_listen manager 7001
    client python3 "$PROGS/manager.py" use "$IP" 7000 "$MARK" >"$T/seen"
    cat >"$T/want" <<-END
		$MARK
		[0, 1, 2, 3]
		328350
		child
		9999900000
		{'$MARK'}
		from another process: $MARK
	END
    diff "$T/want" "$T/seen" >&2 || fail 'something else came'
    stop manager
    hasnt "$T/log/manager" Traceback
}
three_ways scenario
