#!/bin/bash
# node's http server and client, and its own https in the same two processes: wrapped once more where the rule says so,
# and left alone on a port where the rules say DISABLE.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

make_ca "$T/own"
make_leaf "$T/own" "$T/own/leaf" "IP:$IP"

scenario() {
    # On a PERMISSIVE port a ClientHello would be answered: the table says that node's own is not meant for us.
    [ "$WAY" != permissive ] || mesh PERMISSIVE ISTIO_MUTUAL - <<-END
		[Policy app/server]
		targets = server
		mtls.mode = PERMISSIVE
		tls.tlsInTls = skip
	END
    serve node node "$PROGS/node_server.js" "$IP" 8000 8443 "$T/own/leaf/key.pem" "$T/own/leaf/cert-chain.pem"
    wait_listen node 8000
    wait_listen node 8443
    client node "$PROGS/node_client.js" "$IP" 8000 8443 "$MARK" "$T/own/root-cert.pem" >"$T/log/client"
    equal plain "$MARK" "$(head -n 1 "$T/log/client")"
    equal own 'own tls works' "$(tail -n 1 "$T/log/client")"
    stop node
}
OWN_TLS=1
three_ways scenario
own_tls_left_alone() {
    WAY=own CLIENT=app/client SERVER=app/server
    mesh STRICT ISTIO_MUTUAL - <<-END
		[Policy app/server]
		targets = server
		mtls.mode = STRICT
		portLevelMtls.8443.mode = DISABLE
		[DestinationRule app/own]
		host = server.app.svc.cluster.local
		tls.mode = ISTIO_MUTUAL
		portLevelSettings.8443.tls.mode = DISABLE
	END
    capture_start
    scenario
    capture_stop
    wire_protected
}
own_tls_left_alone
