#!/bin/bash
# conf/classic.ini as its first lines say: `mtlswrap up`, then curl in every namespace, by name, and the four things to try
# while it runs. In a network namespace, because its addresses are fixed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "${1:-}" = inside ] || exec unshare --net "$0" inside
ip link set lo up
M=$BUILD/mtlswrap
export MTLSWRAP_STATE=$T/state
cp "$TOP/conf/classic.ini" "$T/"
cd "$T"
"$M" certs init >"$T/log/init"
start up - "$M" up classic.ini
for place in 127.1.1.1:8000 127.1.1.1:8001 127.1.2.1:8000 127.1.3.1:8000; do wait_listen up "${place#*:}" "${place%:*}"; done

# Says "served" or "refused".
from() { # NAMESPACE URL
    local words=(timeout "$LIMIT" "$M" run --config classic.ini --as "$1/sleep" --)
    [ "$1" != test3 ] || words=(timeout "$LIMIT")
    if "${words[@]}" curl -sS --fail --noproxy '*' "http://$2/" 2>>"$T/log/curl" | grep -q 'Directory listing'; then echo served; else echo refused; fi
}
is() { # EXPECTED NAMESPACE URL
    equal "$2 to $3" "$1" "$(from "$2" "$3")"
}
becomes() { # EXPECTED NAMESPACE URL
    turned() { [ "$(from "$2" "$3")" = "$1" ]; }
    wait_until 10 turned "$@"
}
for n in 1 2; do
    is served test$n httpbin:8000
    is served test$n httpbin.test1:8000
    is served test$n httpbin.test2.svc:8000
    is served test$n httpbin.test3.svc.cluster.local:8000
done
is refused test3 127.1.1.1:8000
is refused test3 127.1.2.1:8000
is served test3 127.1.3.1:8000
is served test3 127.1.1.1:8001 # 3.
is served test2 httpbin.test1:8001
wait_until 20 grep -Eq '^test2/httpbin +127\.1\.2\.1:8000 +STRICT +running +.*test1/sleep' "$T/log/up"

edit() { sed "$@" classic.ini >classic.new && mv classic.new classic.ini; }
edit '/^\[MeshPolicy default\]/,/^mtls/s/STRICT/PERMISSIVE/' # 1.
becomes served test3 127.1.2.1:8000
is refused test3 127.1.1.1:8000 # its own Policy says STRICT
is served test1 httpbin.test2:8000
edit '/^\[MeshPolicy default\]/,/^mtls/s/PERMISSIVE/STRICT/'
becomes refused test3 127.1.2.1:8000
cp classic.ini strict.ini
printf '[Policy test2/default]\nmtls.mode = PERMISSIVE\n' >>classic.ini # 2.
becomes served test3 127.1.2.1:8000
mv strict.ini classic.ini
becomes refused test3 127.1.2.1:8000
edit '/^\[DestinationRule istio-system.test3\]/,/^tls.mode/d' # 4.
becomes refused test1 httpbin.test3:8000
is served test1 httpbin.test2:8000
stop up

# The same by IPv6, and with a client that `up` starts itself.
WAY=ipv6
for host in 1 2; do ip -6 address add "fd00::$host/128" dev lo nodad; done
cat >six.ini <<END
[Mesh]
certificates = ./certs
[MeshPolicy default]
mtls.mode = STRICT
[Service test1/web]
address = fd00::1
ports = 80:8000
[Workload test1/web]
command = exec python3 -m http.server 8000 --bind ::
[Workload test2/caller]
address = fd00::2
command = until curl -sS --fail --noproxy '*' http://web.test1/; do sleep 0.2; done; sleep 600
END
start six - "$M" up six.ini
wait_until 30 grep -q '^test2/caller | .*Directory listing' "$T/log/six"
wait_until 30 grep -Eq '^test1/web +\[fd00::1\]:8000 +STRICT +running +test2/caller' "$T/log/six"
has "$T/log/six" '^test1/web \| .*fd00::2 .*GET / '
if curl -sS --fail --noproxy '*' 'http://[fd00::1]:8000/' >"$T/page" 2>"$T/log/curl"; then fail 'a plain client was served'; fi
