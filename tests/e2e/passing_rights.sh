#!/bin/bash
# Connections handed to another process over an AF_UNIX socket: untouched, after use, among other descriptors; to a process that
# never had one, to one that has its own, to forked workers that share it with their parent, by a child in a jail to its parent. To a
# program that is not wrapped nothing is handed, and the connection stays usable where it is.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

passing=$PROGS/passing.py
ask() { client python3 "$passing" ask "$IP" "$1" "$2" "$MARK"; }
want() { # WHO FROM TO
    local n
    for n in $(seq "$2" "$3"); do echo "$1 $MARK $n"; done
}

scenario() {
    local how round
    for how in fresh used late many; do
        serve "handler.$how" python3 "$passing" handle "$T/$WAY/$how" "$IP" 7002
        wait_listen "handler.$how" 7002
        serve "acceptor.$how" python3 "$passing" accept "$T/$WAY/$how" "$IP" 7001 $how
        wait_listen "acceptor.$how" 7001
        # Before its first connection of its own the handler can join the acceptor's family, afterwards no more.
        for round in first second third; do
            [[ "$how $round" != @(used first|late first|fresh second|many third) ]] ||
                equal direct "$(want direct 0 0; printf 'direct says goodbye\nend')" "$(ask 7002 1)"
            if [ $how = used ]; then
                equal "$how, $round" "$(want acceptor 0 0; want handler 1 3; printf 'handler says goodbye\nend')" "$(ask 7001 4)"
            else
                equal "$how, $round" "$(want handler 0 3; printf 'handler says goodbye\nend')" "$(ask 7001 4)"
            fi
        done
        stop "acceptor.$how"
        stop "handler.$how"
        hasnt "$T/log/handler.$how" Traceback
        hasnt "$T/log/acceptor.$how" Traceback
        rm "$T/log/handler.$how" "$T/log/acceptor.$how"
    done
    serve workers python3 "$passing" workers "$IP" 7003
    wait_listen workers 7003
    for round in first second; do
        equal "$round in turns" "$(printf '%s\n' "worker 0 $MARK 0" "worker 1 $MARK 1" "parent $MARK 2" "worker 0 $MARK 3" \
            "worker 1 $MARK 4" "parent $MARK 5" "parent at last $MARK 6" "parent at last says goodbye" end)" "$(ask 7003 7)"
    done
    stop workers
    hasnt "$T/log/workers" Traceback
    mkdir -m 755 "$T/$WAY/jail"
    serve jailed python3 "$passing" jailed "$T/$WAY/jail" "$IP" 7004
    wait_listen jailed 7004
    for round in first second; do
        equal "jailed, $round" "$(want handler 0 3; printf 'handler says goodbye\nend')" "$(ask 7004 4)"
    done
    stop jailed
    hasnt "$T/log/jailed" Traceback
}
three_ways scenario plain strict permissive disable

# The receiver is not wrapped.
WAY=refused
mkdir "$T/$WAY"
mesh STRICT ISTIO_MUTUAL
capture_start
start handler - python3 "$passing" handle "$T/$WAY/socket" "$IP" 7002
wait_listen handler 7002
start acceptor app/server python3 "$passing" accept "$T/$WAY/socket" "$IP" 7001 refused
wait_listen acceptor 7001
equal refused "$(printf '%s\n' EPERM "acceptor $MARK 0" 'acceptor says goodbye' end)" \
    "$(run app/client python3 "$passing" ask "$IP" 7001 1 "$MARK" | sed '/^EPERM$/{N;}')"
capture_stop
wire_protected
has "$T/log/mtls.refused.app.server" 'warn: .* not passed on to process [0-9]+, which does not run under mtlswrap, rule mesh.ini:'
