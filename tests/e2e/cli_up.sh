#!/usr/bin/env bash
# `mtlswrap up`: starts workloads as themselves, prints who says what and who talks to whom, restarts
# nothing, leaves nothing behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
export MTLSWRAP_STATE=$T/state
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
case_ok() { say "ok $1"; }
"$M" certs init >"$T/out"
mkdir "$T/www"
echo "$MARK" >"$T/www/page"

cat >"$T/client.py" <<'PY'
import socket, sys, time
for _ in range(200):
    try:
        s = socket.create_connection((sys.argv[1], 18000), 10)
        break
    except ConnectionRefusedError:
        time.sleep(0.05)
s.sendall(b"GET /page HTTP/1.0\r\n\r\n")
got = b""
try:
    while block := s.recv(4096):
        got += block
except ConnectionResetError:
    pass
print("served" if got.startswith(b"HTTP/1.0 200") else "refused")
PY
cat >"$T/mesh.ini" <<INI
[Mesh]
certificates = ./certs
[MeshPolicy default]
mtls.mode = STRICT
[DestinationRule istio-system/default]
host = *.local
tls.mode = ISTIO_MUTUAL
[Service test1/web]
address = $IP
ports = 18000
[Workload test1/web]
directory = ./www
command = sleep 1000 & exec python3 -u -m http.server -b $IP 18000
[Workload test2/inside]
command = python3 ../client.py $IP; echo "I am \$MTLSWRAP_WORKLOAD"; exit 3
directory = ./www
[Workload test3/outside]
mesh = false
environment = WORD=said
directory = ./www
command = echo "\$WORD \${LD_PRELOAD-nothing}"; python3 ../client.py $IP
INI

start up - "$M" up "$T/mesh.ini"
wait_until 30 grep -q 'test2/inside | ended with status 3; it is not restarted' "$T/log/up"
wait_until 30 grep -q 'test3/outside | ended with status 0' "$T/log/up"
has "$T/log/up" '^test2/inside \| served$'
has "$T/log/up" '^test2/inside \| I am test2/inside$'
has "$T/log/up" '^test3/outside \| said nothing$'
has "$T/log/up" '^test3/outside \| refused$'
has "$T/log/up" "^test1/web +$IP:18000 +STRICT +running "
wait_until 30 grep -Eq '^test1/web .* running +test2/inside' "$T/log/up"
hasnt "$T/log/up" ': info: '
case_ok workloads

server=$(pgrep -f "http.server -b $IP 18000" -P "${PIDS[up]}")
group=$(pgrep -g "$server" -r D,R,S | wc -l)
equal 'processes of the group' 2 "$group"
kill -TERM "${PIDS[up]}" # a shell ignores SIGINT in what it starts in the background
join up 20
equal status 0 "$STATUS"
equal 'processes left' '' "$(pgrep -g "$server" -r D,R,S || true)"
has "$T/log/up" '^test1/web \| ended by signal 15'
case_ok stop

start again - "$M" up "$T/mesh.ini"
wait_until 30 grep -q 'Serving HTTP' "$T/log/again"
server=$(pgrep -f "http.server -b $IP 18000" -P "${PIDS[again]}")
kill -KILL "${PIDS[again]}"
gone() { [ -z "$(pgrep -g "$server" -r D,R,S -f http.server || true)" ]; }
wait_until 10 gone
kill -KILL -- "-$server" # what its command has left in the background
unset 'PIDS[again]'
case_ok killed

printf '[Workload a/b]\nmesh = false\ncommand = exit 5\n' >"$T/bad.ini"
try "$M" up "$T/bad.ini"
equal 'status when a workload fails' 1 "$S"
printf '[Workload a/b]\nmesh = false\ncommand = true\n' >"$T/good.ini"
try "$M" up "$T/good.ini"
equal 'status when all go well' 0 "$S"
printf '[Workload a/b]\n' >"$T/none.ini"
try "$M" up "$T/none.ini"
equal 'status without commands' 78 "$S"
has "$T/err" 'no \[Workload\] has a command'
try "$M" up "$T/missing.ini"
equal 'status without a table' 78 "$S"
try "$M" up
equal 'status without a file' 64 "$S"
case_ok statuses
