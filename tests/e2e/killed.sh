#!/bin/bash
# kill -9 of either side in each phase of a connection (connected, in the handshake, idle, in the middle of a stream, half closed): the
# other side gets an error or the end in bounded time and goes on with others.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$T/peer.py" <<'END'
"""One side of a connection, brought into a phase; says so, then waits to be killed or for the other to go."""
import socket, sys, time
role, address, port, phase, marker = sys.argv[1:]
if role == "server":
    listener = socket.create_server((address, int(port)))
    print("listening", flush=True)
    sock, _ = listener.accept()
else:
    sock = socket.create_connection((address, int(port)), timeout=None)

def until_over(step):
    try:
        while step():
            pass
        print("over: end", flush=True)
    except OSError as problem:
        print("over:", type(problem).__name__, flush=True)

if phase == "connected":  # neither side ever reads or writes before the kill
    print("ready", flush=True)
    time.sleep(0.7)
elif phase == "handshake":  # one side has begun, the other one does not take part
    if role == "client":
        sock.sendall(marker.encode())
    print("ready", flush=True)
    time.sleep(0.7)
else:
    sock.sendall(marker.encode())
    assert sock.recv(len(marker), socket.MSG_WAITALL) == marker.encode()
    if phase == "half":
        if role == "client":
            sock.shutdown(socket.SHUT_WR)
        else:
            assert sock.recv(1) == b""
    print("ready", flush=True)
def trickle():
    time.sleep(0.05)
    return sock.send(b"x")

if phase == "stream" and role == "server":
    until_over(lambda: sock.send(bytes(100000)))
elif phase == "half" and role == "server":
    until_over(trickle)
else:
    until_over(lambda: sock.recv(65536))
END

# The victim is killed, the survivor must say that it is over.
phase() { # PHASE VICTIM SURVIVOR
    start server "$SERVER" python3 "$T/peer.py" server "$IP" 7000 "$1" "$MARK"
    wait_until 20 grep -q listening "$T/log/server"
    start client "$CLIENT" python3 "$T/peer.py" client "$IP" 7000 "$1" "$MARK"
    wait_until 20 grep -q ready "$T/log/server"
    wait_until 20 grep -q ready "$T/log/client"
    kill -KILL "${PIDS[$2]}"
    join "$3" 20
    equal "status of the $3" 0 "$STATUS"
    has "$T/log/$3" '^over: (end|ConnectionResetError|BrokenPipeError)$'
    hasnt "$T/log/$3" Traceback
    stop "$2"
    rm "$T/log/server" "$T/log/client"
}

as_before() { [ "$(descriptors echo)" -eq "$1" ]; }

# One server that lives through the deaths of 100 clients keeps no descriptor of them.
survivor() {
    local had n
    serve echo "$(program select_server)" "$IP" 7001
    wait_listen echo 7001
    client python3 "$PROGS/py_client.py" raw "$IP" 7001 "$MARK" 1000
    had=$(descriptors echo)
    for n in {1..100}; do
        start "doomed$n" "$CLIENT" bash -c "exec 3<>/dev/tcp/$IP/7001; echo $MARK >&3; kill -KILL \$\$"
    done
    for n in {1..100}; do join "doomed$n" 30; done
    client python3 "$PROGS/py_client.py" raw "$IP" 7001 "$MARK" 100000
    wait_until 20 as_before "$had"
    stop echo
}

scenario() {
    local p
    for p in connected handshake idle stream half; do
        phase $p client server
        phase $p server client
    done
    survivor
}
three_ways scenario
