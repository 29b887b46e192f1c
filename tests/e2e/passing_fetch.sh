#!/bin/bash
# pidfd_getfd: a protected connection cannot be taken out of the process that protects it; anything else can, and a process's own
# connection is the same connection once more.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    local connection=fetched
    [ "$WAY" != strict ] || connection=EPERM
    serve lines python3 "$PROGS/exec_leaks.py" serve "$IP" 7001 2
    wait_listen lines 7001
    equal fetch "$(printf '%s\n' "connection $connection" 'listener fetched' 'pipe fetched' "child $MARK" "one $MARK" "two $MARK" \
        "three $MARK")" "$(client python3 "$PROGS/passing_fetch.py" "$IP" 7001 "$MARK")"
    join lines 20
    equal 'ends' "$(printf '1 lines, end\n3 lines, end')" "$(cat "$T/log/lines")"
    rm "$T/log/lines"
}
three_ways scenario plain strict permissive disable
has "$T/log/mtls.strict.app.client" 'warn: [^ ]+ -> [^ ]+: a connection fetched .* refused by rule mesh.ini:'
