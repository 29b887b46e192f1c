#!/bin/bash
# Programs started while connections are open: inherited ones are used by parent and child in turns, others stay away, an exec that
# fails changes nothing. Every way shows what a run in the clear shows.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

scenario() {
    serve lines python3 "$PROGS/exec_leaks.py" serve "$IP" 7001 7
    wait_listen lines 7001
    client python3 "$PROGS/exec_leaks.py" use "$IP" 7001 "$MARK" >"$T/seen.$WAY"
    join lines 20
    cat "$T/log/lines" >>"$T/seen.$WAY"
    rm "$T/log/lines"
    [ "$WAY" = plain ] || diff "$T/seen.plain" "$T/seen.$WAY" >&2 || fail 'something else happened than in the clear'
    has "$T/seen.$WAY" 'lines, end'
}
three_ways scenario plain strict permissive disable
