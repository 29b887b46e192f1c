#!/bin/bash
# php's built-in server with curl, and php's stream client.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 7000000 /dev/urandom >"$T/big"

scenario() {
    serve php php -d post_max_size=64M -S "$IP:8000" "$PROGS/server.php"
    wait_listen php 8000
    equal page "$MARK" "$(client curl -sS --fail "http://$IP:8000/?say=$MARK")"
    client curl -sS --fail -H 'Content-Type: application/octet-stream' --data-binary "@$T/big" "http://$IP:8000/" | cmp - "$T/big"
    stop php
    serve echo python3 "$PROGS/py_server.py" threads "$IP" 7000
    wait_listen echo 7000
    equal client 'all came back' "$(client php "$PROGS/client.php" "$IP" 7000 "$MARK")"
    stop echo
}
three_ways scenario
