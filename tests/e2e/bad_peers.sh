#!/bin/bash
# Every kind of bad peer, on both sides: the wrapped program gets the designed error, the log one plain line with both
# addresses, the reason and the rule, and the wire no byte of plaintext.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

E2E_LOG=warn
talk=$(program talk)
certificates
make_ca "$T/other"
make_leaf "$T/ca" "$T/bad/expired" "$(spiffe server)" expired
make_leaf "$T/other" "$T/bad/foreign" "$(spiffe server)"
make_leaf "$T/ca" "$T/bad/account" "$(spiffe somebody)"
make_leaf "$T/ca" "$T/bad/domain" "URI:spiffe://elsewhere/ns/app/sa/server"
make_leaf "$T/ca" "$T/bad/name" "DNS:server.app"
mesh STRICT ISTIO_MUTUAL
sed -i 's/^trustDomain.*/&\nhandshake_timeout = 2s/' "$T/mesh.ini"
hello='20 [0-9a-f]{8}' # what the peer says first arrives in any case

# Every attack is tried, also after one that ended otherwise than it should.
wrong=0
attack() {
    (trap over EXIT && attack_once "$@") || wrong=$((wrong + 1))
}
over() { # the end of the subshell of one attack
    local status=$?
    set +e
    stop "$WAY"
    stop peer
    if [ $status -ne 0 ]; then
        tail -n 5 "$T/log/$WAY" "$T/log/peer" "$T/log/mtls.$WAY".* >&2
    fi
    rm -f "$T/log/$WAY" "$T/log/peer" "$T/log/mtls.$WAY".*
    exit $status
}

# ROLE is the bad peer's; the other side is the program under test.
attack_once() { # ROLE CASE CERTIFICATES EXPECTED-OUTCOME EXPECTED-LOG
    local role=$1 case=$2 log
    WAY="$role-$case-$(basename "$3")"
    log=$T/log/mtls.$WAY
    if [ "$role" = client ]; then
        start "$WAY" app/server "$talk" greet "$IP" 7000 1 "$MARK"
        wait_listen "$WAY" 7000
        run - python3 "$PROGS/bad_peer.py" client "$IP" 7000 "$case" "$3" >"$T/log/peer" 2>&1
        log=$log.app.server
    else
        start peer - python3 "$PROGS/bad_peer.py" server "$IP" 7000 "$case" "$3"
        wait_listen peer 7000
        start "$WAY" app/client "$talk" ask "$IP" 7000 "$MARK"
        log=$log.app.client
    fi
    join "$WAY" 20
    [ "$role" = client ] || join peer 20
    has "$T/log/peer" 'the peer ended the connection'
    has "$T/log/$WAY" "^($4)\$"
    if [ -z "$5" ]; then
        [ ! -s "$log" ] || fail "a word too many: $(cat "$log")"
    else
        equal 'lines of the log' 1 "$(wc -l <"$log")"
        has "$log" "$5"
        has "$log" "$IP:7000"
        has "$log" 'mesh\.ini:[0-9]+ \[(MeshPolicy default|DestinationRule app/all)\]'
    fi
}

nothing='0 811c9dc5 ECONNRESET|write ECONNRESET'
good=$T/certs/app
capture_start
for version in '' 12; do
    attack client honest$version "$good/client" "$hello end" ''
    attack server honest$version "$good/server" "$hello end" ''
    attack client truncate$version "$good/client" "$hello ECONNRESET" 'close_notify|truncat'
    attack server truncate$version "$good/server" "$hello ECONNRESET" 'close_notify|truncat'
    attack client flip$version "$good/client" '0 811c9dc5 EBADMSG' 'authenti'
    attack server flip$version "$good/server" '0 811c9dc5 EBADMSG' 'authenti'
    attack client oversized$version "$good/client" '0 811c9dc5 EBADMSG' 'long|large|size'
    attack server oversized$version "$good/server" '0 811c9dc5 EBADMSG' 'long|large|size'
done
for case in inject unencrypted replay; do
    attack client $case "$good/client" "$hello EBADMSG" .
    attack server $case "$good/server" "$hello EBADMSG" .
done
attack client nocert "$good/client" "$nothing" 'certificate'
attack client honest "$T/bad/foreign" "$nothing" 'certificate|issuer|CA'
attack server honest "$T/bad/foreign" "$nothing" 'certificate|issuer|CA'
attack client honest "$T/bad/expired" "$nothing" 'expired'
attack server honest "$T/bad/expired" "$nothing" 'expired'
attack client honest "$T/bad/domain" "$nothing" 'spiffe://elsewhere/ns/app/sa/server'
attack server honest "$T/bad/domain" "$nothing" 'spiffe://elsewhere/ns/app/sa/server'
attack client honest "$T/bad/name" "$nothing" .
attack server honest "$T/bad/name" "$nothing" .
attack server honest "$T/bad/account" "$nothing" 'spiffe://cluster.local/ns/app/sa/somebody'
# A client that ends before its first byte (a health check) is an end of file, as on TCP: the differential case
# closed_before_a_word holds that. A server that does so has broken off a handshake that was begun.
attack server leave "$good/server" "$nothing" .
for case in garbage half stall reset hugehello tls11 cbc12; do
    attack client $case "$good/client" "$nothing" .
    attack server $case "$good/server" "$nothing" .
done
capture_stop
equal 'attacks that ended otherwise than they should' 0 $wrong
! wire_has "$MARK" || fail 'the marker is on the wire in the clear'
