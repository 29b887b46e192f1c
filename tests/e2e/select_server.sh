#!/bin/bash
# A single-threaded select server with blocking sockets goes on serving many clients while some stall: in the middle of a
# ClientHello, before it, and (a wrapped client) right after its handshake.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

server=$(program select_server)
cat >"$T/stall.py" <<'END'
import socket, sys, time
# The beginning of a ClientHello, and then nothing for as long as the test lasts.
socks = [socket.create_connection((sys.argv[1], 7000)) for _ in range(3)]
for sock, text in zip(socks, (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"\x16", b"")):
    sock.sendall(text)
print("stalling", flush=True)
time.sleep(600)
END
cat >"$T/idle.py" <<'END'
import socket, sys, time
sock = socket.create_connection((sys.argv[1], 7000))
sock.sendall(b"once")
assert sock.recv(10) == b"once"
print("idle", flush=True)
time.sleep(600)
END

scenario() {
    serve server "$server" "$IP" 7000
    wait_listen server 7000
    start idle "$CLIENT" python3 "$T/idle.py" "$IP"
    wait_until 20 grep -q idle "$T/log/idle"
    if [ "$WAY" = strict ] || [ "$WAY" = permissive ]; then
        # Its connections carry no plaintext, but no whole record either.
        start stall - python3 "$T/stall.py" "$IP"
        wait_until 20 grep -q stalling "$T/log/stall"
    fi
    for _ in 1 2 3; do
        start crowd "$CLIENT" python3 "$PROGS/py_client.py" raw "$IP" 7000 "$MARK" 200000
        LIMIT=30 client python3 "$PROGS/py_client.py" raw "$IP" 7000 "$MARK" 200000
        join crowd 30
        equal 'the other client' 0 "$STATUS"
    done
    rm -f "$T/log/idle" "$T/log/stall"
    [ -z "${PIDS[stall]:-}" ] || stop stall
    stop idle
    stop server
}
OWN_TLS=1 # the beginnings of a ClientHello look like it on the wire
three_ways scenario
