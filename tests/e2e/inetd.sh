#!/bin/bash
# Programs that know nothing of sockets, started per connection by inetd and by systemd-socket-activate: one written with
# stdio in C, one shell script, one Python script; and a server that inherits its listening socket (LISTEN_FDS).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

service=$(program stdio_service)
cat >"$T/script.sh" <<'END'
#!/bin/bash
# The same protocol, as far as the client needs it, in the shell alone.
echo 'shell ready'
while read -r line; do echo "got $line"; done
echo 'shell done'
END
cat >"$T/script.py" <<'END'
#!/usr/bin/python3
import sys
print("python ready", flush=True)
for line in sys.stdin:
    print("got " + line, end="", flush=True)
print("python done")
END
cat >"$T/activated.py" <<'END'
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and os.environ["LISTEN_PID"] == str(os.getpid())
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    with connection:
        connection.sendall(b"activated " + connection.recv(1000))
END
chmod 755 "$T"/script.*
user=$(id -un)
cat >"$T/inetd.conf" <<END
$IP:7001 stream tcp nowait $user $service stdio_service
$IP:7002 stream tcp nowait $user $T/script.sh script.sh
$IP:7003 stream tcp nowait $user $T/script.py script.py
END

lines() { # PORT
    client bash -c "exec 3<>/dev/tcp/$IP/$1; read -r greeting <&3; echo \"\$greeting\"; for n in 1 2 3; do echo '$MARK' >&3; read -r reply <&3; echo \"\$reply\"; done"
}
got() { printf '%s ready\ngot %s\ngot %s\ngot %s' "$1" "$MARK" "$MARK" "$MARK"; }

scenario() {
    serve inetd inetd -i "$T/inetd.conf"
    wait_listen inetd 7003
    for _ in 1 2 3; do
        equal stdio 'all came back' "$(client python3 "$PROGS/service_client.py" "$IP" 7001 "$MARK")"
        equal shell "$(got shell)" "$(lines 7002)"
        equal python "$(got python)" "$(lines 7003)"
    done
    stop inetd
    serve per-connection systemd-socket-activate -l "$IP:7004" -a --inetd "$service"
    wait_listen per-connection 7004
    equal activated 'all came back' "$(client python3 "$PROGS/service_client.py" "$IP" 7004 "$MARK")"
    equal activated 'all came back' "$(client python3 "$PROGS/service_client.py" "$IP" 7004 "$MARK")"
    stop per-connection
    serve activated systemd-socket-activate -l "$IP:7005" /usr/bin/python3 "$T/activated.py"
    wait_listen activated 7005
    for _ in 1 2 3; do
        equal inherited "activated $MARK" "$(client bash -c "exec 3<>/dev/tcp/$IP/7005; echo '$MARK' >&3; cat <&3")"
    done
    stop activated
}
three_ways scenario
