#!/bin/bash
# tlsInTls = skip: what programs encrypt themselves passes untouched on either side, everything else is the mesh's as always.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

server() { # NAME WORKLOAD PORT [OPTION…]
    local name=$1 workload=$2 port=$3
    shift 3
    start "$name" "$workload" python3 "$PROGS/mesh_server.py" "$name" "$IP" "$port" "$@"
    wait_listen "$name" "$port"
}
ask() { # WORKLOAD HOW PORT
    run "$1" python3 "$PROGS/mesh_client.py" "$2" "$IP" "$3" "$MARK" "$T/own/root-cert.pem"
}
make_ca "$T/own"
make_leaf "$T/own" "$T/own/leaf" "IP:$IP"

# The connecting side: a wildcard rule, and behind it servers inside and outside the mesh.
WAY=connecting
mesh STRICT ISTIO_MUTUAL - <<<'tls.tlsInTls = skip'
server secure - 8443 --tls "$T/own/leaf"
server inside app/server 8000
server greeter app/server 8025 --greet
capture_start
equal tls "secure heard $MARK from $IP" "$(ask app/client tls 8443 | sed "s/from .*/from $IP/")"
equal pieces "secure heard $MARK from $IP" "$(ask app/client pieces 8443 | sed "s/from .*/from $IP/")"
has "$T/log/mtls.connecting.app.client" "info: .* -> $IP:8443: TLS of the program's own, left alone .* rule mesh.ini:[0-9]+ \[DestinationRule app/all\]"
has <(ask app/client ask 8000) "^inside heard $MARK from "
has <(ask app/client hear 8025) "^greeter heard $MARK from "
has <(ask app/client watch 8025) "^greeter heard $MARK from "
capture_stop
wire_protected
has "$T/log/mtls.connecting.app.client" "info: .* -> $IP:8000: TLS 1.3, peer \"spiffe://cluster.local/ns/app/sa/server\""
equal 'connections left alone' 2 "$(grep -c 'left alone' "$T/log/mtls.connecting.app.client")"
equal 'what a plain server makes of it' ConnectionResetError "$(server plain - 8080 && ask app/client ask 8080)"
has "$T/log/mtls.connecting.app.client" ' warn: .*8080: the peer'
for name in secure inside greeter plain; do stop "$name"; done

# A host that no rule names is never touched, whatever the rules say of others.
WAY=external
mesh STRICT ISTIO_MUTUAL
far=127.$((1 + $$ % 63)).$(($$ / 64 % 256)).7
make_leaf "$T/own" "$T/own/far" "IP:$far,DNS:shop.example"
start far - python3 "$PROGS/mesh_server.py" far "$far" 8443 --tls "$T/own/far"
wait_listen far 8443 "$far"
has <(run app/client python3 "$PROGS/mesh_client.py" tls "$far" 8443 "$MARK" "$T/own/root-cert.pem") "^far heard $MARK"
run app/client curl -sS --http0.9 --cacert "$T/own/root-cert.pem" --resolve "shop.example:8443:$far" https://shop.example:8443/ >"$T/log/curl"
has "$T/log/curl" '^far heard GET / HTTP/1.1'
[ ! -s "$T/log/mtls.external.app.client" ] || fail 'the connection was touched'
stop far

# Without skip the same client is wrapped once more, so a server that knows nothing of the mesh refuses it.
WAY=wrap
mesh STRICT ISTIO_MUTUAL
server secure - 8443 --tls "$T/own/leaf"
equal 'tls in tls' ConnectionResetError "$(ask app/client tls 8443 | sed 's/SSL.*/ConnectionResetError/')"
stop secure

# The accepting side.
accepting() { # MODE [LINE…]
    WAY=$1
    mesh DISABLE ISTIO_MUTUAL - < <(printf '[Policy app/server]\ntargets = server\nmtls.mode = %s\ntls.tlsInTls = skip\n' "$1" && shift && printf '%s\n' "$@")
    server secure app/server 8443 --tls "$T/own/leaf"
    server inside app/server 8000
    server greeter app/server 8025 --greet
    capture_start
}
done_accepting() {
    capture_stop
    wire_protected
    for name in secure inside greeter; do stop "$name"; done
}
for mode in STRICT PERMISSIVE; do
    accepting $mode
    has <(ask - tls 8443) "^secure heard $MARK"
    has <(ask - pieces 8443) "^secure heard $MARK"
    has "$T/log/mtls.$mode.app.server" "info: .* -> $IP:8443: TLS of the program's own, left alone"
    has <(ask app/client ask 8000) "^inside heard $MARK"
    has <(ask app/client tls 8443) "^secure heard $MARK" # twice encrypted
    has <(ask app/client hear 8025) "^greeter heard $MARK"
    done_accepting
done

WAY=PERMISSIVE-plain
mesh PERMISSIVE ISTIO_MUTUAL - < <(printf '[Policy app/server]\ntargets = server\nmtls.mode = PERMISSIVE\ntls.tlsInTls = skip\n')
server inside app/server 8000
has <(ask - ask 8000) "^inside heard $MARK"
has <(ask - stub 8000) '^inside heard '
has "$T/log/inside" "^heard '.x16.x03'"
stop inside

WAY=STRICT-plain
accepting STRICT
has <(ask - ask 8000) '^(end of file|ConnectionResetError)$'
has <(ask - stub 8000) '^(end of file|ConnectionResetError)$'
# A server that wrote first meant the mesh: its greeting goes into nobody else's TLS.
has <(ask - tls 8025) 'Error$' # it sees the mesh answer, and has no certificate for it
capture_stop
for name in secure inside greeter; do stop "$name"; done
! wire_has greets || fail 'the greeting left in the clear'

WAY=principals
accepting STRICT 'principals = cluster.local/ns/app/sa/client'
has <(ask - tls 8443) 'Error$'
has "$T/log/mtls.STRICT.app.server" 'warn: .*8443: the client speaks other TLS, which proves no principal of the list'
has <(ask app/client tls 8443) "^secure heard $MARK"
done_accepting
