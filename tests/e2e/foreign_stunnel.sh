#!/bin/bash
# stunnel as the other end, on either side, TLS 1.3 and 1.2, checking the chain of the wrapped program.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
mkdir "$T/www"
{ echo "$MARK" && head -c 10000000 /dev/urandom; } >"$T/www/big"

# stunnel's plain sides are on 127.0.0.1, out of the capture.
tunnel() { # NAME SIDE ACCEPT CONNECT VERSION
    cat >"$T/$1.conf" <<-END
		foreground = yes
		pid =
		[$1]
		client = $([ "$2" = client ] && echo yes || echo no)
		accept = $3
		connect = $4
		cert = $T/certs/app/$2/cert-chain.pem
		key = $T/certs/app/$2/key.pem
		CAfile = $T/ca/root-cert.pem
		verifyChain = yes
		requireCert = yes
		sslVersionMin = $5
		sslVersionMax = $5
	END
    start "$1" - stunnel "$T/$1.conf"
}

port=$((20000 + $$ % 9000))
for version in TLSv1.3 TLSv1.2; do
    WAY=$version
    capture_start
    start web app/server python3 -m http.server -b "$IP" -d "$T/www" 8000
    wait_listen web 8000
    tunnel outward client "127.0.0.1:$port" "$IP:8000" $version
    wait_listen outward $port 127.0.0.1
    for _ in 1 2 3; do run - curl -sS --fail "http://127.0.0.1:$port/big" | cmp - "$T/www/big"; done
    stop outward
    stop web
    start web - python3 -m http.server -b 127.0.0.1 -d "$T/www" $port
    wait_listen web $port 127.0.0.1
    tunnel inward server "$IP:8001" "127.0.0.1:$port" $version
    wait_listen inward 8001
    for _ in 1 2 3; do run app/client curl -sS --fail "http://$IP:8001/big" | cmp - "$T/www/big"; done
    stop inward
    stop web
    capture_stop
    wire_protected
done
