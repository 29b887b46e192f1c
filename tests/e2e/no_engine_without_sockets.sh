#!/bin/bash
# A wrapped program that opens no socket never loads the engine (which holds OpenSSL); one that only talks where no
# rule matches does not either; one that connects under a rule does (so the first two prove something).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
idle() { # COMMAND…
    run app/client "$@" >"$T/maps"
    has "$T/maps" 'libmtlswrap\.so'
    hasnt "$T/maps" 'libmtlswrap-engine'
}
idle cat /proc/self/maps
hasnt "$T/maps" 'libssl|libcrypto'
idle python3 -c 'print(open("/proc/self/maps").read())'
start web - python3 -m http.server -b 127.0.0.1 $((20000 + $$ % 9000))
wait_listen web $((20000 + $$ % 9000)) 127.0.0.1
run app/client bash -c "exec 3<>/dev/tcp/127.0.0.1/$((20000 + $$ % 9000)); cat /proc/\$\$/maps" >"$T/maps"
has "$T/maps" 'libmtlswrap\.so'
hasnt "$T/maps" 'libmtlswrap-engine'
talk=$(program talk)
start sink app/server "$talk" sink "$IP" 7000 1
wait_listen sink 7000
run app/client bash -c "exec 3<>/dev/tcp/$IP/7000; echo $MARK >&3; cat /proc/\$\$/maps" >"$T/maps"
has "$T/maps" 'libmtlswrap-engine'
join sink 10
has "$T/log/sink" ' end$'
