#!/bin/bash
# What `make demo` shows is true: it ends well, and prints no line that is not as expected.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

BUILD=$BUILD "$TOP/tests/demo/demo.sh" >"$T/log/demo" 2>&1
has "$T/log/demo" '^all as expected$'
hasnt "$T/log/demo" '^WRONG'
[ "$(grep -c '^ok ' "$T/log/demo")" -ge 12 ] || fail 'the table is too short'
