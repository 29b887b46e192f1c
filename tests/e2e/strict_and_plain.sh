#!/bin/bash
# Where the two sides do not agree: STRICT refuses a plain client, ISTIO_MUTUAL refuses a plain server and then works by a DISABLE
# rule, and nothing of the program reaches the wire in the clear meanwhile.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

E2E_LOG=warn
mkdir "$T/www" && echo "$MARK" >"$T/www/page"
url=http://$IP:8000/page

# A plain client at a STRICT server.
WAY=strict-server
mesh STRICT ISTIO_MUTUAL
capture_start
start web app/server python3 -m http.server -b "$IP" -d "$T/www" 8000
wait_listen web 8000
if run - curl -sS -m 20 "$url" >"$T/page" 2>"$T/log/curl"; then fail 'a plain client was served'; fi
equal 'bytes for the plain client' 0 "$(wc -c <"$T/page")"
wait_until 5 test -s "$T/log/mtls.$WAY.app.server"
has "$T/log/mtls.$WAY.app.server" "$IP:8000.*mesh\.ini:[0-9]+ \[MeshPolicy default\]"
equal 'lines of the log' 1 "$(wc -l <"$T/log/mtls.$WAY.app.server")"
# The server is none the worse for it.
equal page "$MARK" "$(run app/client curl -sS --fail "$url")"
stop web
capture_stop
! wire_has "$MARK" || fail 'the marker is on the wire'

# A wrapped client at a plain server: its request, which holds the marker, must not leave.
WAY=plain-server
start web - python3 -m http.server -b "$IP" -d "$T/www" 8000
wait_listen web 8000
capture_start
if run app/client curl -sS -m 20 "$url?$MARK" >"$T/page" 2>"$T/log/curl"; then fail 'a plain server was believed'; fi
capture_stop
! wire_has "$MARK" || fail 'the marker is on the wire'
equal 'bytes from the plain server' 0 "$(wc -c <"$T/page")"
equal 'lines of the log' 1 "$(wc -l <"$T/log/mtls.$WAY.app.client")"
has "$T/log/mtls.$WAY.app.client" "$IP:8000.*mesh\.ini:[0-9]+ \[DestinationRule app/all\]"

# A narrower rule says DISABLE.
WAY=disabled
mesh STRICT ISTIO_MUTUAL - <<END

[DestinationRule app/legacy]
host = server.app.svc.cluster.local
tls.mode = DISABLE
END
equal page "$MARK" "$(run app/client curl -sS --fail "$url")"
[ ! -s "$T/log/mtls.$WAY.app.client" ] || fail 'a word too many in the log'
stop web
