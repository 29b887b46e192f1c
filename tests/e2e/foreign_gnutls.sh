#!/bin/bash
# gnutls-cli and gnutls-serv as the other end: TLS 1.3 and 1.2, every suite, both directions.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# GnuTLS accepts no underscore in a server's name, which Istio's names have: its server is met with MUTUAL.
own_files() {
    cat >>"$T/mesh.ini" <<-END

		[DestinationRule app/foreign]
		host = server.app.svc.cluster.local
		tls.mode = MUTUAL
		tls.clientCertificate = $T/certs/app/client/cert-chain.pem
		tls.privateKey = $T/certs/app/client/key.pem
		tls.caCertificates = $T/ca/root-cert.pem
		tls.subjectAltNames = spiffe://cluster.local/ns/app/sa/server
	END
}

mesh STRICT ISTIO_MUTUAL
own_files
port=$((20000 + $$ % 9000)) # gnutls-serv listens on every address
{ echo "$MARK" && head -c 300000 /dev/urandom; } >"$T/big"
size=$(stat -c %s "$T/big")
options() { # SIDE PRIORITY
    printf '%s\n' "--x509certfile=$T/certs/app/$1/cert-chain.pem" "--x509keyfile=$T/certs/app/$1/key.pem" \
        "--x509cafile=$T/ca/root-cert.pem" "--priority=$2"
}

foreign_client() { # PRIORITY
    local words
    mapfile -t words < <(options client "$1")
    start server app/server python3 "$PROGS/py_server.py" once "$IP" 7000
    wait_listen server 7000
    # It leaves as soon as its input ends, so the input stays open until the server has closed.
    mkfifo "$T/input"
    # shellcheck disable=SC2016 # its own parameters
    start gnutls - bash -c 'exec gnutls-cli --no-ca-verification --logfile "$1/log/cli" "${@:3}" -p 7000 "$2" <"$1/input" >"$1/output"' \
        - "$T" "$IP" "${words[@]}"
    exec 5>"$T/input"
    { echo "$size" && cat "$T/big"; } >&5
    join gnutls 30
    exec 5>&-
    cmp "$T/output" "$T/big"
    rm "$T/input" "$T/output"
    stop server
}

foreign_server() { # PRIORITY
    local words
    mapfile -t words < <(options server "$1")
    start web - gnutls-serv --http --require-client-cert -p $port "${words[@]}"
    wait_listen web $port '*'
    run app/client curl -sS --fail "http://$IP:$port/" >"$T/log/page"
    has "$T/log/page" '<TD>Cipher<'
    stop web
    start echo - gnutls-serv --echo --require-client-cert -p $port "${words[@]}"
    wait_listen echo $port '*'
    run app/client python3 "$PROGS/py_client.py" lines "$IP" $port "$MARK" 300000
    stop echo
}

for version in 1.3 1.2; do
    for cipher in AES-128-GCM AES-256-GCM CHACHA20-POLY1305; do
        WAY=TLS$version-$cipher
        capture_start
        foreign_client "NORMAL:-VERS-ALL:+VERS-TLS$version:-CIPHER-ALL:+$cipher"
        foreign_server "NORMAL:-VERS-ALL:+VERS-TLS$version:-CIPHER-ALL:+$cipher"
        capture_stop
        wire_protected
    done
done
