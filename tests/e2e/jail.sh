#!/bin/bash
# A server whose children, cloned by number, give up files, user, threads and descriptors before they say the first word, and
# connect to their client from in there.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

jail=$(program jail)
mkdir "$T/empty"
clients=8

scenario() {
    # Towards the client's own address the server is a client.
    [ "$WAY" = plain ] || cat >>"$T/mesh.ini" <<-END

		[DestinationRule app/back]
		host = 127.0.0.1
		tls.mode = $([ "$WAY" = strict ] && echo ISTIO_MUTUAL || echo DISABLE)
	END
    serve jail "$jail" "$IP" 7001 7002 "$T/empty" "$clients"
    wait_listen jail 7001
    for _ in $(seq "$clients"); do
        client python3 "$PROGS/jail_client.py" "$IP" 7001 7002 "$MARK"
    done
    join jail 30
    equal 'exit status of the server' 0 "$STATUS"
}
three_ways scenario plain strict permissive disable
