#!/bin/bash
# Under ThreadSanitizer, and under AddressSanitizer with UndefinedBehaviorSanitizer, nothing is reported: a program of many
# threads with the table and the certificates changing beneath it, and Python's ways to serve and to connect.
# limit: 400
if [ -z "${E2E_SANITIZER:-}" ]; then
    for sanitizer in tsan asan; do
        MAKEFLAGS='' make -s -C "$(dirname "$0")/../.." BUILD="${BUILD:-build}" "$sanitizer" || exit 1
        E2E_SANITIZER=$sanitizer "$0" || exit 1
    done
    exit 0
fi
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

WAY=$E2E_SANITIZER
mesh STRICT ISTIO_MUTUAL
declare -A FLAG=([tsan]=thread [asan]=address)
g++ -std=c++17 -O1 -g -Wall -Wextra -Werror -pthread "-fsanitize=${FLAG[$WAY]}" -o "$T/sanitized" "$PROGS/sanitized.cpp"
equal 'many threads' finished "$(run app/server "$T/sanitized" "$IP" 7000 "$T/mesh.ini" "$T"/certs/app/server/*.pem)"
has "$T/log/mtls.$WAY.app.server" 'the changed policy table is in force'

for style in threads asyncio; do
    start $style app/server python3 "$PROGS/py_server.py" $style "$IP" 8000
    wait_listen $style 8000
    run app/client python3 "$PROGS/py_client.py" $style "$IP" 8000 "$MARK" 100000
    stop $style
done
