#!/bin/bash
# PERMISSIVE on the accepting side serves TLS and plain clients on one port, also when the server speaks first; on the
# connecting side it speaks TLS with who can and plaintext with who cannot, whoever speaks first.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
mesh PERMISSIVE PERMISSIVE

# One exchange, the server or the client speaking first; the outcome has to be the same for all. A client that offered TLS to
# a server which has none comes a second time, so that server sees one connection more.
exchange() { # SERVER-WORKLOAD CLIENT-WORKLOAD
    local visits=1
    [ "$WAY" != plain-server ] || visits=2
    start greet "$1" "$talk" greet "$IP" 7001 $visits "$MARK"
    wait_listen greet 7001
    equal "hear" "$(cat "$T/want")" "$(run "$2" "$talk" listen_first "$IP" 7001 "$MARK")"
    join greet 20
    rm "$T/log/greet"
    start web "$1" python3 -m http.server -b "$IP" -d "$T/www" 8000
    wait_listen web 8000
    equal page "$MARK" "$(run "$2" curl -sS --fail "http://$IP:8000/page")"
    cmp "$T/www/big" <(run "$2" curl -sS --fail "http://$IP:8000/big")
    stop web
}

judge() { # WAY SERVER CLIENT EXPECTED
    WAY=$1
    capture_start
    exchange "$2" "$3"
    capture_stop
    "$4"
}
wire_fell_back() { # the client offered TLS, was not understood, and came again in plaintext
    wire_has "$MARK" || fail 'the marker is not on the wire'
    has "$T/log/mtls.$WAY.app.client" "$IP:[0-9]+.*plain"
}

mkdir "$T/www"
echo "$MARK" >"$T/www/page"
head -c 3000000 /dev/urandom >"$T/www/big"
start greet - "$talk" greet "$IP" 7001 1 "$MARK"
wait_listen greet 7001
run - "$talk" listen_first "$IP" 7001 "$MARK" >"$T/want"
join greet 10
rm "$T/log/greet"

judge both app/server app/client wire_protected
judge plain-client app/server - wire_plain
judge plain-server - app/client wire_fell_back
mesh STRICT PERMISSIVE
judge strict-server app/server app/client wire_protected
mesh PERMISSIVE ISTIO_MUTUAL
judge strict-client app/server app/client wire_protected

# A ClientHello may be answered by a reset as well: to a program that waits in a read, and to one that waits in poll.
mesh STRICT PERMISSIVE
WAY=resetting-server
start resets - python3 "$PROGS/no_tls.py" "$IP" 7002 "$MARK"
wait_listen resets 7002
# shellcheck disable=SC2016
read_back='exec 3<>/dev/tcp/$0/7002; printf "GET / HTTP/1.0\r\n\r\n" >&3; tail -n 1 <&3'
equal 'a blocking reader' "$MARK" "$(run app/client bash -c "$read_back" "$IP")"
equal 'a poller' "$MARK" "$(run app/client curl -sS --fail "http://$IP:7002/")"
join resets 20
has "$T/log/mtls.$WAY.app.client" 'the peer reset the connection; going on in plaintext'
