#!/bin/bash
# A server that gives up files and user before its first connection, or before it even listens: what there is to say of its connections
# is in the log's file all the same.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$T/empty"
[ "$(id -u)" -eq 0 ] || exit 0 # nobody else may chroot

scenario() {
    listens before "$T/empty"
    listens after "$T/empty"
    listens after -
}

listens() { # WHEN ROOT
    local log=$T/log/mtls.$WAY.app.server word told
    : >"$log"
    chmod 600 "$log"
    serve server python3 "$PROGS/jail_log.py" "$IP" 7001 "$2" "$1"
    wait_listen server 7001
    for word in "$MARK" enough; do
        equal answer "$word" "$(client bash -c 'exec 3<>"/dev/tcp/$0/$1" && echo "$2" >&3 && cat <&3' "$IP" 7001 "$word")"
    done
    join server 30
    equal 'exit status of the server' 0 "$STATUS"
    case $WAY in
    strict) told='TLS 1.3, peer "spiffe://cluster.local/ns/app/sa/client"' ;;
    permissive) told='going on in plaintext' ;;
    *) told= ;;
    esac
    [ -z "$told" ] || equal 'connections in the log' 2 "$(awk -v told="$told" 'index($0, told)' "$log" | wc -l)"
    equal 'files below its own root' '' "$(ls -A "$T/empty")"
}
three_ways scenario
