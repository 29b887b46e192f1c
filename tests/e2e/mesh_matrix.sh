#!/bin/bash
# The classic mesh: namespaces test1 and test2 inside, test3 outside, a server and a client in each, every server on the same port
# numbers. Who reaches whom, and how it looks on the wire, under each of Istio's kinds of policy; `mtlswrap explain` must have said
# so. Servers bind to the wildcard address and see who calls; clients know names only.
# limit: 600
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

family=${1:-4}
net=127.$((64 + $$ % 64)).$(($$ / 64 % 256))
any=0.0.0.0
address() { echo "$net.$1"; }
if [ "$family" = 6 ]; then
    any=::
    address() { echo "fd00:$(($$ % 9999))::$1"; }
    ip link set lo up
    for host in 11 12 21 22 31 32; do ip -6 address add "$(address $host)/128" dev lo nodad; done
fi
make_ca "$T/ca"
for n in 1 2 3; do
    echo "test$n $(address "${n}2") $(address "${n}1")" >>"$T/addresses"
    for account in httpbin sleep; do
        [ $n = 3 ] || make_leaf "$T/ca" "$T/certs/test$n/$account" "URI:spiffe://cluster.local/ns/test$n/sa/$account"
    done
done

places() { # the services and workloads, in INI
    local n
    printf '[Mesh]\ncertificates = %s\n' "$T/certs"
    for n in 1 2 3; do
        printf '[Service test%s/httpbin]\naddress = %s\nports = 8000, 8001\n' $n "$(address ${n}1)"
        printf '[Workload test%s/httpbin]\nserviceAccount = httpbin\n' $n
        [ $n != 3 ] || echo 'mesh = false'
        printf '[Workload test%s/sleep]\nserviceAccount = sleep\naddress = %s\n' $n "$(address ${n}2)"
        [ $n != 3 ] || echo 'mesh = false'
    done
}

servers_up() {
    for n in 1 2; do start "httpbin.test$n" "test$n/httpbin" python3 "$PROGS/mesh_server.py" "httpbin.test$n" $any 8000 8001; done
    start httpbin.test3 - python3 "$PROGS/mesh_server.py" httpbin.test3 "$(address 31)" 8000 8001
    for n in 1 2 3; do
        wait_listen "httpbin.test$n" 8000 "$(bracketed "$(address ${n}1)")"
        wait_listen "httpbin.test$n" 8001 "$(bracketed "$(address ${n}1)")"
    done
}
bracketed() { if [ "$family" = 6 ]; then echo "[$1]"; else echo "$1"; fi; }

calls() { # CLIENT-NUMBER HOST…
    local n=$1 as=test$1/sleep from=-
    shift
    [ "$n" != 3 ] || as=- from=$(address 32)
    run $as python3 "$PROGS/mesh_caller.py" "$MARK" "$from" "${@/%//8000}" "${@/%//8001}" | sed "s/^/test$n /" >>"$T/calls"
}

# The first table is for port 8000, the second for 8001, where it is the same if there is none.
scenario() { # NAME EXPECTED [EXPECTED-8001]; the rules come from standard input
    WAY=$1
    { places && cat; } >"$T/mesh.ini"
    rm -f "$T/wire.pcap" "$T/calls"
    : >"$T/log/tcpdump"
    start tcpdump - tcpdump -i lo -U -s 256 -B 65536 -Z root --immediate-mode -w "$T/wire.pcap" \
        "tcp and (port 8000 or port 8001) and ($(sed 's/.* /host /' "$T/addresses" | paste -sd '|' | sed 's/|/ or /g'))"
    wait_until 10 grep -q 'listening on' "$T/log/tcpdump"
    servers_up
    calls 1 httpbin httpbin.test2 httpbin.test3.svc.cluster.local
    calls 2 httpbin.test1.svc httpbin HTTPBIN.test3.
    calls 3 "$(address 11)" "$(address 21)" "$(address 31)"
    sed -i 's/HTTPBIN/httpbin/' "$T/calls"
    sleep 0.2
    for name in tcpdump httpbin.test{1,2,3}; do stop "$name"; done
    python3 "$PROGS/mesh_wire.py" "$T/wire.pcap" >"$T/log/wire"
    for port in 8000 8001; do
        # shellcheck disable=SC2086
        python3 "$PROGS/mesh_judge.py" "$BUILD/mtlswrap" "$T/mesh.ini" "$T/log/wire" "$T/calls" "$T/addresses" $port $2 >&2
        [ -z "${3:-}" ] || set -- "$1" "$3"
    done
    say "$1: as it should be"
}
strict='[MeshPolicy default]
mtls.mode = STRICT
'
everywhere='[DestinationRule istio-system/mesh]
host = *.local
tls.mode = ISTIO_MUTUAL
'
not_test3='[DestinationRule istio-system/test3]
host = *.test3.svc.cluster.local
tls.mode = DISABLE
'

scenario nothing 'PPP PPP PPP' <<<''
scenario automatic 'TTP TTP ppP' <<<"$strict"
scenario mesh-strict 'TTt TTt ppP' <<<"$strict$everywhere"
scenario disable-test3 'TTP TTP ppP' <<<"$strict$everywhere$not_test3"
scenario namespace-permissive 'TTP TTP pPP' <<<"$strict$everywhere$not_test3
[Policy test2/default]
mtls.mode = PERMISSIVE"
scenario service-override 'TTP TTP PpP' <<<"$strict$everywhere$not_test3
[Policy test1/httpbin]
targets = httpbin
mtls.mode = PERMISSIVE
[Policy test2/default]
mtls.mode = PERMISSIVE
[Policy test2/httpbin]
targets = httpbin
mtls.mode = STRICT"
scenario port-override 'TTP TTP ppP' 'TPP TPP PPP' <<<"$strict$everywhere$not_test3
[Policy test1/httpbin]
targets = httpbin
mtls.mode = STRICT
portLevelMtls.8001.mode = PERMISSIVE
[Policy test2/httpbin]
targets = httpbin
mtls.mode = STRICT
portLevelMtls.8001.mode = DISABLE
[DestinationRule test2/httpbin]
host = httpbin
tls.mode = ISTIO_MUTUAL
portLevelSettings.8001.tls.mode = DISABLE"
scenario client-without-tls 'pTP TTP ppP' <<<"$strict$everywhere$not_test3
[DestinationRule test1/httpbin]
host = httpbin
tls.mode = DISABLE
exportTo = ."
scenario newer-api 'TTP TTP pPP' 'TPP TPP PPP' <<<"$everywhere$not_test3
[PeerAuthentication istio-system/default]
mtls.mode = STRICT
[PeerAuthentication test2/default]
mtls.mode = PERMISSIVE
[PeerAuthentication test1/httpbin]
selector.matchLabels.app = httpbin
mtls.mode = UNSET
portLevelMtls.8001.mode = PERMISSIVE
[PeerAuthentication test2/httpbin]
selector.matchLabels.app = httpbin
portLevelMtls.8001.mode = DISABLE
[DestinationRule test2/httpbin]
host = httpbin.test2.svc.cluster.local
tls.mode = ISTIO_MUTUAL
portLevelSettings.8001.tls.mode = DISABLE"
