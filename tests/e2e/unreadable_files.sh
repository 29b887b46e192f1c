#!/bin/bash
# Files that are missing, unreadable or do not fit together: the table's faults end the program before main with status 78 and a line
# that names file and line; a certificate's fault ends the connection with one line in the log, never with plaintext.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

E2E_LOG=warn
talk=$(program talk)

# The program must not even begin.
refused() { # WHAT EXPECTED-LINE
    local status=0
    WAY=$1
    run app/client echo began >"$T/out" 2>"$T/err" || status=$?
    equal "$1: exit status" 78 $status
    equal "$1: output" '' "$(cat "$T/out")"
    cat "$T/err" "$T/log/mtls.$1.app.client" 2>/dev/null >"$T/said" || true
    equal "$1: errors" 1 "$(grep -c 'error: ' "$T/said")"
    has "$T/said" "error: .*$2"
}

mesh STRICT ISTIO_MUTUAL
cp "$T/mesh.ini" "$T/good.ini"
rm "$T/mesh.ini"
refused no-table 'mesh\.ini.*No such file'
mkdir "$T/mesh.ini"
refused directory 'mesh\.ini'
rmdir "$T/mesh.ini"
last=$(($(wc -l <"$T/good.ini") + 1))
while IFS='|' read -r name line word; do
    { cat "$T/good.ini" && printf '%b\n' "$line"; } >"$T/mesh.ini"
    refused "$name" "mesh\.ini:$((last + $(printf '%b' "$line" | wc -l))):?.*$word"
done <<'END'
unknown-kind|[Polciy app/default]|Polciy
unknown-key|mtls.mod = STRICT|mtls.mod
unknown-value|[Policy other/default]\nmtls.mode = STRCIT|STRCIT
no-section-end|[Policy app/default|
no-equals|[Policy other/default]\nmtls.mode STRICT|
long-name|[Policy app/a-name-that-has-more-than-forty-nine-characters-in-all]|
mutual-without-key|[DestinationRule app/x]\nhost = x\ntls.privateKey = key.pem\ntls.mode = MUTUAL|clientCertificate
bad-address|[Service app/x]\naddress = 127.0.0.300|127.0.0.300
bad-port|[Service app/x]\naddress = 127.9.9.9\nports = 70000|70000
END
cp "$T/good.ini" "$T/mesh.ini"

if [ "$(id -u)" -eq 0 ]; then
    WAY=unreadable
    chmod 600 "$T/mesh.ini"
    status=0
    run app/client setpriv --reuid=nobody --clear-groups echo began >"$T/out" 2>"$T/err" || status=$?
    equal 'unreadable: exit status' 78 $status
    equal 'unreadable: output' '' "$(cat "$T/out")"
    chmod 644 "$T/mesh.ini"
fi

# Identities that are not there or do not fit.
broken() { # WHAT EXPECTED-WORD
    WAY=$1
    start greet app/server "$talk" greet "$IP" 7000 1 "$MARK"
    wait_listen greet 7000
    run app/client "$talk" ask "$IP" 7000 "$MARK" >"$T/asked" 2>&1
    has "$T/asked" '^(write ECONNRESET|0 811c9dc5 ECONNRESET|connect: .*)$'
    stop greet
    equal "$1: lines" 1 "$(wc -l <"$T/log/mtls.$1.app.client")"
    has "$T/log/mtls.$1.app.client" "$2"
    rm -f "$T/log/greet"
}
capture_start
mv "$T/certs/app/client" "$T/away"
broken no-identity "certs"
mkdir "$T/certs/app/client"
cp "$T"/away/*.pem "$T/certs/app/client/"
rm "$T/certs/app/client/key.pem"
broken no-key 'key\.pem'
cp "$T/certs/app/server/key.pem" "$T/certs/app/client/key.pem"
broken other-key 'key'
cp "$T/away/key.pem" "$T/certs/app/client/key.pem"
echo 'no certificate' >"$T/certs/app/client/cert-chain.pem"
broken bad-chain 'cert-chain\.pem'
cp "$T/away/cert-chain.pem" "$T/certs/app/client/cert-chain.pem"
: >"$T/certs/app/client/root-cert.pem"
broken no-roots 'root-cert\.pem'
cp "$T/away/root-cert.pem" "$T/certs/app/client/root-cert.pem"
capture_stop
! wire_has "$MARK" || fail 'the marker is on the wire in the clear'
# And with everything in its place again:
WAY=mended
start tell app/server "$talk" tell "$IP" 7000 1 100
wait_listen tell 7000
has <(run app/client "$talk" hear "$IP" 7000) '^100 [0-9a-f]{8} end$'
