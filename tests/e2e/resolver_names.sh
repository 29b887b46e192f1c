#!/bin/bash
# Names of the table resolve without DNS, in libc's own shapes: the oracle is libc with the same names in /etc/hosts. Other
# names are answered as ever, and policy knows the host by the name that was asked for.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

names=$(program resolver_names)
mesh STRICT ISTIO_MUTUAL - <<-'END_OF_TABLE'

	[Service app/backend]
	address = 127.1.0.10

	[Service app/twofold]
	address = 127.1.0.11, 127.1.0.12
END_OF_TABLE
cat >"$T/hosts" <<-'END_OF_HOSTS'
	127.0.0.1 localhost
	127.1.0.10 backend.app.svc.cluster.local backend.app
	127.1.0.11 twofold.app.svc.cluster.local twofold
	127.1.0.12 twofold.app.svc.cluster.local twofold
END_OF_HOSTS
questions=(name backend.app name twofold address 127.1.0.10)

# libc says of a name without an address of the family that it is unknown (hosts) or has none (DNS), and
# gives the names of /etc/hosts back as aliases.
told() {
    sed -E -e '/^  80 10 1 0 0:/s/: .*/: no IPv6/' -e '/gethostby.*(v6|name2_r)/s/: .*/: no IPv6/' \
        -e '/gethostbyname_r/s/ error [01] / /' -e "s/( alias [^ ]*)\\1+/\\1/" -e '/gethostbyaddr/s/ alias [^ ]*//'
}
# shellcheck disable=SC2016
unshare -rm sh -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' sh "$T/hosts" "$names" "${questions[@]}" |
    told >"$T/expected"
has "$T/expected" 'http 2 1 0 0x22: 127.1.0.10:80/2/1/6=backend.app.svc.cluster.local$'
run app/client "$names" "${questions[@]}" >"$T/answers"
has "$T/answers" 'gethostbyname2 v6: none'
told <"$T/answers" >"$T/seen"
diff "$T/expected" "$T/seen" >&2 || fail 'the table answers otherwise than libc'

# Other names, numbers and services: not a byte may differ.
questions=(name localhost name 127.0.0.1 name ::1 name no.such.name.invalid address 127.0.0.1 address 127.9.9.9)
run - "$names" "${questions[@]}" >"$T/expected"
run app/client "$names" "${questions[@]}" >"$T/seen"
diff "$T/expected" "$T/seen" >&2 || fail 'other names are answered differently'

# A program reaches a service by its name, short and full, and the connection is protected.
cat >"$T/ask.py" <<'END_OF_CLIENT'
import socket, sys
for name in sys.argv[2:]:
    with socket.create_connection((name, 7000)) as s:
        s.sendall(b"%d\n%s" % (len(sys.argv[1]), sys.argv[1].encode()))
        print(name, s.recv(100).decode())
END_OF_CLIENT
scenario() {
    serve echo python3 "$PROGS/py_server.py" threads "$IP" 7000
    wait_listen echo 7000
    equal names "$(printf 'server %s\nserver.app %s\nserver.app.svc.cluster.local %s' "$MARK" "$MARK" "$MARK")" \
        "$(client python3 "$T/ask.py" "$MARK" server server.app server.app.svc.cluster.local)"
    stop echo
}
three_ways scenario strict disable
