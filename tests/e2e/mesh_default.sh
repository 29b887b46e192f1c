#!/bin/bash
# `mtlswrap run` without a table: its own CA, STRICT, mutual TLS on the loopback interface, for workloads of any
# namespace.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
export MTLSWRAP_STATE=$T/state

wrapped() { # WORKLOAD COMMAND…
    local as=$1
    shift
    timeout "$LIMIT" "$BUILD/mtlswrap" run --as "$as" -- "$@"
}
mkdir "$T/www"
echo "$MARK" >"$T/www/page"
capture_start
start web - "$BUILD/mtlswrap" run --as shop/web -- python3 -m http.server -b "$IP" -d "$T/www" 8000
wait_listen web 8000
for client in shop/one other/two plain-name; do
    equal "page for $client" "$MARK" "$(wrapped "$client" curl -sS --fail "http://$IP:8000/page" 2>"$T/log/client")"
done
equal 'page without --as' "$MARK" "$("$BUILD/mtlswrap" run -- curl -sS --fail "http://$IP:8000/page" 2>"$T/log/client")"
capture_stop
wire_protected
if run - curl -sS --fail "http://$IP:8000/page" >"$T/page" 2>"$T/log/client"; then fail 'a plain client was served'; fi
stop web

# IPv6, where loopback is one address.
port=$((20000 + $$ % 10000))
start six - "$BUILD/mtlswrap" run --as shop/six -- python3 -m http.server -b ::1 -d "$T/www" $port
wait_listen six $port '[::1]'
equal 'page by IPv6' "$MARK" "$(wrapped other/two curl -sS --fail "http://[::1]:$port/page" 2>"$T/log/client")"
if run - curl -sS --fail "http://[::1]:$port/page" >"$T/page" 2>"$T/log/client"; then fail 'a plain client was served'; fi
