#!/bin/bash
# openssl s_client and s_server as the other end: TLS 1.3 and 1.2, every cipher suite with ECDHE and an AEAD, keys
# of both kinds, 1 MB in each direction; each side wants the other's certificate.
# limit: 400
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
mesh STRICT ISTIO_MUTUAL
# A second mesh whose server has an RSA key.
make_leaf "$T/ca" "$T/rsa/app/server" "$(spiffe server)" valid rsa:2048
cp -r "$T/certs/app/client" "$T/rsa/app/client"
mkdir "$T/files"
{ echo "$MARK" && head -c 1000000 /dev/urandom; } >"$T/files/big"
size=$(stat -c %s "$T/files/big")

foreign_client() { # VERSION SUITE-OPTION SUITE
    { echo "$size" && cat "$T/files/big"; } |
        run - openssl s_client -connect "$IP:7000" -quiet -verify 3 -verify_return_error "$1" "$2" "$3" \
            -cert "$T/certs/app/client/cert-chain.pem" -key "$T/certs/app/client/key.pem" \
            -CAfile "$T/ca/root-cert.pem" 2>"$T/log/s_client" | cmp - "$T/files/big"
}

foreign_server() { # VERSION SUITE-OPTION SUITE CERTIFICATES
    local own=$4/app/server
    local server=(openssl s_server -accept "$IP:7001" "$1" "$2" "$3" -Verify 3 -verify_return_error
        -cert "$own/cert-chain.pem" -key "$own/key.pem" -CAfile "$T/ca/root-cert.pem")
    start files - env -C "$T/files" "${server[@]}" -WWW
    wait_listen files 7001
    run app/client curl -sS --fail "http://$IP:7001/big" | cmp - "$T/files/big"
    stop files
    # At the end of its input it would leave.
    # shellcheck disable=SC2016 # its own parameters
    start sink - bash -c 'exec "${@:2}" < <(exec sleep 60) >"$1"' - "$T/sunk" "${server[@]}" -quiet -naccept 1
    wait_listen sink 7001
    run app/client "$talk" pour "$IP" 7001 1000000 close
    join sink 20
    cmp "$T/sunk" "$T/poured"
}

start reference - "$talk" tell "$IP" 7999 1 1000000
wait_listen reference 7999
run - bash -c "exec cat </dev/tcp/$IP/7999" >"$T/poured"
join reference 10

both() { # KEY VERSION SUITE-OPTION SUITE
    WAY="$1-$4"
    local certificates=$T/certs
    [ "$1" = ec ] || certificates=$T/rsa
    sed -i "s|^certificates = .*|certificates = $certificates|" "$T/mesh.ini"
    start server app/server python3 "$PROGS/py_server.py" once "$IP" 7000
    wait_listen server 7000
    capture_start
    foreign_client "$2" "$3" "$4"
    foreign_server "$2" "$3" "$4" "$certificates"
    capture_stop
    wire_protected
    stop server
}

for suite in TLS_AES_128_GCM_SHA256 TLS_AES_256_GCM_SHA384 TLS_CHACHA20_POLY1305_SHA256; do
    both ec -tls1_3 -ciphersuites $suite
done
for suite in AES128-GCM-SHA256 AES256-GCM-SHA384 CHACHA20-POLY1305; do
    both ec -tls1_2 -cipher ECDHE-ECDSA-$suite
    both rsa -tls1_2 -cipher ECDHE-RSA-$suite
done
both rsa -tls1_3 -ciphersuites TLS_AES_128_GCM_SHA256
