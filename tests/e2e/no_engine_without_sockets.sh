#!/bin/bash
# A wrapped program that opens no socket never loads the engine (which holds OpenSSL); one that only talks where no
# rule matches does not either; one that connects under a rule does (so the first two prove something).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
idle() { # COMMAND…
    run app/client "$@" >"$T/maps"
    has "$T/maps" 'libmtlswrap\.so'
    hasnt "$T/maps" 'libmtlswrap-engine'
}
idle cat /proc/self/maps
hasnt "$T/maps" 'libssl|libcrypto'
idle python3 -c 'print(open("/proc/self/maps").read())'

# Connects, says something, and shows what is loaded.
cat >"$T/talker.py" <<'END'
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sock:
    sock.sendall(sys.argv[3].encode())
    print(open("/proc/self/maps").read())
END
talk=$(program talk)
port=$((20000 + $$ % 9000))
start unruled - "$talk" sink 127.0.0.1 $port 1
wait_listen unruled $port 127.0.0.1
run app/client python3 "$T/talker.py" 127.0.0.1 $port "$MARK" >"$T/maps"
has "$T/maps" 'libmtlswrap\.so'
hasnt "$T/maps" 'libmtlswrap-engine'
join unruled 10
start sink app/server "$talk" sink "$IP" 7000 1
wait_listen sink 7000
run app/client python3 "$T/talker.py" "$IP" 7000 "$MARK" >"$T/maps"
has "$T/maps" 'libmtlswrap-engine'
join sink 10
has "$T/log/sink" ' end$'
