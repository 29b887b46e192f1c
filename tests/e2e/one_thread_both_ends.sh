#!/bin/bash
# One process, one thread, blocking sockets: connect, write, accept, write, read, read. No deadlock, all bytes arrive.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
run - "$talk" self "$IP" 7000 60000 >"$T/want"

scenario() {
    LIMIT=20 run "$SERVER" "$talk" self "$IP" 7001 60000 >"$T/seen"
    cmp "$T/want" "$T/seen"
    LIMIT=20 run "$SERVER" python3 - "$IP" "$MARK" >"$T/python" <<-'END'
		import socket, sys
		mark = sys.argv[2].encode()
		listener = socket.create_server((sys.argv[1], 7002))
		out = socket.create_connection((sys.argv[1], 7002))
		out.sendall(mark)
		inside, _ = listener.accept()
		assert inside.recv(100) == mark
		inside.sendall(mark[::-1])
		assert out.recv(100) == mark[::-1]
		out.close()
		assert inside.recv(1) == b""
		print("all well")
	END
    equal python 'all well' "$(cat "$T/python")"
}
three_ways scenario strict disable
