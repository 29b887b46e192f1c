#!/bin/bash
# Lists of principals: who is on the list is served, who is not gets the TLS alert access_denied, and the log says who it was and
# which rule; `mtlswrap explain` says the same beforehand. A plaintext client proves nothing, so it is refused under PERMISSIVE too.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
make_ca "$T/ca"
make_leaf "$T/ca" "$T/certs/app/server" "$(spiffe server)"
callers=(test1/sleep test1/sleepy test2/sleep test2/web)
for caller in "${callers[@]}"; do
    make_leaf "$T/ca" "$T/certs/$caller" "URI:spiffe://cluster.local/ns/${caller%/*}/sa/${caller#*/}"
done

ask() { run "$1" python3 "$PROGS/mesh_client.py" ask "$IP" 8000 "$MARK"; }
explained() { # CALLER
    "$BUILD/mtlswrap" explain --config "$T/mesh.ini" --as app/server --listen "$IP:8000" --from "$1" --json |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["allowed"])'
}
list() { # NAME MODE PRINCIPALS ALLOWED…
    WAY=$1 mode=$2 principals=$3
    shift 3
    cat >"$T/mesh.ini" <<-END
		[Mesh]
		certificates = ./certs
		[MeshPolicy default]
		mtls.mode = $mode
		principals = $principals
		[Service app/server]
		address = $IP
		serviceAccount = server
		[DestinationRule istio-system/all]
		host = *.local
		tls.mode = ISTIO_MUTUAL
	END
    start server app/server python3 "$PROGS/mesh_server.py" server "$IP" 8000
    wait_listen server 8000
    for caller in "${callers[@]}"; do
        if [[ " $* " == *" $caller "* ]]; then
            equal "$caller explained" True "$(explained "$caller")"
            has <(ask "$caller") "^server heard $MARK"
            continue
        fi
        equal "$caller explained" False "$(explained "$caller")"
        equal "$caller" ConnectionResetError "$(ask "$caller")"
        wait_until 10 grep -Eq "warn: .* -> $IP:8000: principal \"spiffe://cluster.local/ns/${caller%/*}/sa/${caller#*/}\" is not on the list; connection refused by rule mesh.ini:3 \[MeshPolicy default\]" "$T/log/mtls.$WAY.app.server"
        has "$T/log/mtls.$WAY.${caller//\//.}" "warn: .* -> $IP:8000: .*alert 49 access_denied"
    done
    has <(ask -) '^(end of file|ConnectionResetError)$'
    stop server
    say "$WAY: as it should be"
}
list exact STRICT cluster.local/ns/test1/sa/sleep test1/sleep
list several STRICT 'cluster.local/ns/test1/sa/sleep, cluster.local/ns/test2/sa/web' test1/sleep test2/web
list prefix STRICT 'cluster.local/ns/test1/sa/sl*' test1/sleep test1/sleepy
list namespace STRICT 'cluster.local/ns/test2/*' test2/sleep test2/web
list suffix STRICT '*/sa/sleep' test1/sleep test2/sleep
list everybody STRICT '*' "${callers[@]}"
list nobody STRICT cluster.local/ns/test3/sa/sleep
list permissive PERMISSIVE cluster.local/ns/test1/sa/sleep test1/sleep

# The alert as another TLS implementation sees it.
WAY=foreign
start server app/server python3 "$PROGS/mesh_server.py" server "$IP" 8000
wait_listen server 8000
certs=$T/certs/test2/web
echo "$MARK" | timeout "$LIMIT" openssl s_client -connect "$IP:8000" -alpn istio -cert "$certs/cert-chain.pem" -key "$certs/key.pem" \
    -CAfile "$T/ca/root-cert.pem" -ign_eof >"$T/log/s_client" 2>&1 || true
has "$T/log/s_client" 'alert access denied'
has "$T/log/s_client" 'SSL alert number 49'
