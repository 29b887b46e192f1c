#!/bin/bash
# One connection used by several processes: in turns, at the same time, by generations, after daemon(), while relatives are
# killed. The peer gets every line whole and one clean end, as in the clear.
# limit: 300
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

family=$(program fork_family)

scenario() {
    local what
    serve lines "$family" serve "$IP" 7001 8
    wait_listen lines 7001
    for what in turns 'crowd 6' 'chain 12' daemon killed orphan 'threads 30'; do
        read -r name number <<<"$what"
        # shellcheck disable=SC2086
        client "$family" $name "$IP" 7001 ${number:-} >>"$T/seen.$WAY"
    done
    client bash -c "exec 3<>/dev/tcp/$IP/7001; printf 'M %-61s\n' '$MARK' >&3"
    join lines 30
    cat "$T/log/lines" >>"$T/seen.$WAY"
    rm "$T/log/lines"
    [ "$WAY" = plain ] || diff "$T/seen.plain" "$T/seen.$WAY" >&2 || fail 'something else happened than in the clear'
    equal 'whole ends' 8 "$(grep -c 'end$' "$T/seen.$WAY")"
    hasnt "$T/seen.$WAY" 'torn|something else|E[A-Z]+ '
}
three_ways scenario plain strict permissive disable

# Killed in the midst of a send: an error at both ends, or nothing was torn; never a byte in the clear, nobody hangs.
WAY=torn
mesh STRICT ISTIO_MUTUAL
capture_start
start lines app/server "$family" serve "$IP" 7001 3
wait_listen lines 7001
for _ in 1 2 3; do
    run app/client "$family" torn "$IP" 7001 >>"$T/seen.torn"
done
join lines 30
capture_stop
wire_protected
equal 'ends' 3 "$(grep -c 'end$' "$T/log/lines")"
equal 'words of the survivor' 3 "$(grep -cE '^torn: (whole|ECONNRESET)$' "$T/seen.torn")"
