#!/bin/bash
# 10,000 connections at once in one edge-triggered epoll server, each used twice, then all closed: no error, nothing left.
# limit: 600
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

many=$(program many)
count=10000
ulimit -n $((count + 200)) || fail "a process may not have $((count + 200)) descriptors here"
WAY=strict LIMIT=500
mesh STRICT ISTIO_MUTUAL
# All of them begin their handshakes at once, and two cores need longer for that than one peer may take.
sed -i 's/^trustDomain.*/&\nhandshake_timeout = 120s/' "$T/mesh.ini"
start server app/server "$many" serve "$IP" 7000
wait_listen server 7000
run app/client "$many" hold "$IP" 7000 10 >"$T/log/warm"
before() { [ "$(descriptors server)" -le "$1" ]; }
wait_until 20 before 12 # its three, listener, epoll, and a few of ours at most
had=$(descriptors server)
equal client "$count good" "$(run app/client "$many" hold "$IP" 7000 $count)"
wait_until 60 before "$had"
hasnt "$T/log/server" .
# A second time: what the first crowd used is used again.
resident() { awk '{print $2 * 4}' "/proc/${PIDS[server]}/statm"; }
first=$(resident)
equal client "$count good" "$(run app/client "$many" hold "$IP" 7000 $count)"
wait_until 60 before "$had"
second=$(resident)
say "server: $first KB after the first crowd, $second KB after the second"
[ $((second - first)) -le $((first / 4 + 4096)) ] || fail "the server grew from $first to $second KB"
hasnt "$T/log/server" .
