#!/bin/bash
# Connections that were closed before the process ends: what they accepted is delivered for as long as the table's `linger`
# says, and one that the peer has reset holds nobody up.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$T/fill.py" <<'END'
import socket, sys, time

def greet(address, port):
    out = socket.create_connection((address, port))
    out.sendall(b"x")
    return out

def fill_up(out):
    out.setblocking(False)
    total = 1
    try:
        while True:
            total += out.send(bytes(65536))
    except BlockingIOError:
        return total

how, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
if how == "read":
    inside, _ = socket.create_server((address, port)).accept()
    total = len(inside.recv(1))
    inside.sendall(b"y")
    time.sleep(7)
    while piece := inside.recv(65536):
        total += len(piece)
    print(total)
elif how == "leave":
    out = greet(address, port)
    out.recv(1)
    print(fill_up(out))
    out.close()
else:
    listener = socket.create_server((address, port))
    out = greet(address, port)
    inside, _ = listener.accept()
    inside.recv(1)
    fill_up(out)
    out.close()
    inside.close()
END

mesh STRICT ISTIO_MUTUAL
sed -i 's/^trustDomain.*/&\nlinger = 100s/' "$T/mesh.ini"
WAY=strict
# The kernel resets, because much is unread; exit has nothing left to wait for.
LIMIT=50 run app/server python3 "$T/fill.py" reset "$IP" 7000
# The reader comes later than an exit would wait by default.
start reader app/server python3 "$T/fill.py" read "$IP" 7001
wait_listen reader 7001
run app/client python3 "$T/fill.py" leave "$IP" 7001 >"$T/log/leaver"
join reader 60
equal 'bytes that arrive' "$(cat "$T/log/leaver")" "$(cat "$T/log/reader")"
