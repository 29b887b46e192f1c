#!/bin/sh
# limit: 300
# The contract suite (tests/contract): one test body over every pair of {ours, OpenSSL}. Builds it from
# the parts that the unit tests link, and runs it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
BUILD=${BUILD:-$top/build}
mkdir -p "$BUILD/tests"
[ -f "$BUILD/parts.a" ] || make -C "$top" BUILD="$BUILD" "$BUILD/parts.a"
ipsecmb=
[ "$(uname -m)" = x86_64 ] && ipsecmb=-lIPSec_MB
# Options are words on purpose.
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -D_GNU_SOURCE -pthread -I"$top/include" -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror -O2 -g \
    ${SANITIZE:-} "$top"/tests/contract/*.c "$BUILD/parts.a" -o "$BUILD/tests/contract" \
    -Wl,-Bstatic -lssl -lcrypto $ipsecmb -linih -lyaml -Wl,-Bdynamic -ldl -lcriterion
exec "$BUILD/tests/contract" -j1
