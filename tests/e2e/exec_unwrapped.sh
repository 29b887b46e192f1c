#!/bin/bash
# A program that cannot be preloaded never gets a protected connection: not started when it would be its standard input or output,
# without it otherwise; the log says so, and the starter goes on with its connection. Unprotected ones are inherited as ever.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

gcc -std=c11 -O1 -static -o "$T/static" "$PROGS/exec_static.c"

# As another user a setuid program is one as well.
suid() {
    cp /usr/bin/env "$T/suid"
    chmod 4755 "$T/suid"
}
suid

try() { # WAY-OF-THE-TABLE
    start lines "$1" python3 "$PROGS/exec_leaks.py" serve "$IP" 7001 1
    wait_listen lines 7001
    run "$2" python3 "$PROGS/exec_unwrapped.py" "$IP" 7001 "$T/static" >"$T/seen.$WAY"
    join lines 20
}

WAY=strict
mesh STRICT ISTIO_MUTUAL
capture_start
try app/server app/client
capture_stop
equal 'plain directions on the wire' 0 "$(wire_count plain)"
cat >"$T/want" <<END
apart 3 away
after apart
output EPERM
after output
input EPERM
after input
spawned 0
after spawned
spawned output EPERM
after spawned output
leaked 3 away
after leaked
leaked to a spawned one 0
after leaked to a spawned one
exec output 1
after exec output
exec leaked 0
after exec leaked
True
END
grep -vE '^[0-9]+ (away|there)$' "$T/seen.strict" | diff "$T/want" - >&2 || fail 'something else happened'
equal 'descriptors of the programs that ran' "$(printf '3 away\n3 away\n9 away')" "$(grep -E '^[0-9]+ (away|there)$' "$T/seen.strict")"
has "$T/log/mtls.strict.app.client" "error: .*: $T/static cannot be preloaded .* as descriptor 1; not started"
has "$T/log/mtls.strict.app.client" "warn: .*: $T/static cannot be preloaded; descriptor 3 is not handed on to it"
if [ "$(id -u)" -eq 0 ]; then
    mkdir -m 777 "$T/nobody"
    start lines app/server python3 "$PROGS/exec_leaks.py" serve "$IP" 7001 1
    wait_listen lines 7001
    mapfile -t words < <(wrapping app/client)
    touch "$T/log/mtls.strict.app.client"
    chmod 666 "$T/log/mtls.strict.app.client"
    setpriv --reuid 65534 --regid 65534 --clear-groups env "${words[@]}" \
        python3 "$PROGS/exec_unwrapped.py" "$IP" 7001 "$T/suid" >"$T/seen.suid" || true
    has "$T/log/mtls.strict.app.client" "error: .*: $T/suid cannot be preloaded .* as descriptor 1; not started"
    stop lines
    # Nor can one whose starter has kept root for later, which nothing in its file tells.
    hasnt "$T/log/mtls.strict.app.client" 'real and effective'
    for ids in 0,65534 65534,0; do
        for way in execv posix_spawn; do
            rm -f "$T/log/mtls.strict.app.client"
            install -m 666 /dev/null "$T/log/mtls.strict.app.client"
            run app/client python3 -c "import os
os.setresuid($ids, 0)
os.posix_spawn('/bin/true', ['true'], os.environ) if '$way' == 'posix_spawn' else os.execv('/bin/true', ['true'])"
            equal "lines of $way as $ids" 1 "$(wc -l <"$T/log/mtls.strict.app.client")"
            has "$T/log/mtls.strict.app.client" "warn: /bin/true cannot be preloaded, .* real and effective user"
        done
    done
fi

WAY=disable
mesh DISABLE DISABLE
try app/server app/client
equal 'unprotected, as standard output' 'output 0' "$(grep '^output' "$T/seen.disable")"
has "$T/seen.disable" '^leaked 3 there'
