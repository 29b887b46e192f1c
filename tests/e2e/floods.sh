#!/bin/bash
# A peer with good certificates that floods: KeyUpdates, tickets, records without data, records of one byte, alerts that
# mean nothing. No read comes back before there is data, no memory grows, nothing is answered more than once.
# limit: 400
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

COUNT=20000
reader=$(program flood_reader)
peer=$T/flood_peer
gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -o "$peer" "$PROGS/flood_peer.c" -lssl -lcrypto
mesh STRICT ISTIO_MUTUAL
E2E_LOG=warn WAY=strict PORT=7000

# ROLE is the peer's; HEARD what it may hear after the handshake at most.
flood() { # ROLE KIND COUNT HOW EXPECTED HEARD
    local grown heard
    PORT=$((PORT + 1))
    rm -f "$T/log/peer" "$T/log/reader"
    if [ "$1" = client ]; then
        start reader app/server "$reader" accept "$IP" $PORT "$4"
        wait_listen reader $PORT
        start peer - "$peer" client "$IP" $PORT "$2" "$3" "$T/certs/app/client"
    else
        start peer - "$peer" server "$IP" $PORT "$2" "$3" "$T/certs/app/server"
        wait_listen peer $PORT
        start reader app/client "$reader" connect "$IP" $PORT "$4"
    fi
    join reader 60
    join peer 60
    has "$T/log/reader" "^$5\$"
    grown=$(sed -n 's/^grown //p' "$T/log/reader")
    [ "$grown" -lt 4000 ] || fail "$*: memory grew by $grown KB"
    heard=$(sed -n 's/^heard //p' "$T/log/peer")
    [ "$heard" -le "$6" ] || fail "$*: the peer heard $heard bytes"
}

for how in read select edge; do
    for role in client server; do
        for kind in update asked empty cancel; do
            flood $role $kind $COUNT $how '1 reads 16 bytes end' 1000
        done
        flood $role padded 500 $how '1 reads 16 bytes end' 1000
        flood $role byte $COUNT $how "[0-9]+ reads $((COUNT + 16)) bytes end" 1000
        flood $role warning 3 $how '0 reads 0 bytes ECONNRESET' 1000
        flood $role ccs 3 $how '0 reads 0 bytes EBADMSG' 1000
    done
    flood server ticket $COUNT $how '1 reads 16 bytes end' 1000
    flood client ticket 3 $how '0 reads 0 bytes EBADMSG' 1000
done
