#!/bin/bash
# I7: every refusal and every fallback is exactly one line, with both addresses, the peer's identity where it is known, and
# the rule that decided as file:line [Section]. Every line that the source can write is driven here, or by the test that is named.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

gcc -std=gnu11 -static -O1 -o "$T/static" -x c - <<'END'
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    unsetenv("LD_PRELOAD"), unsetenv("MTLSWRAP_CONFIG");
    return argc > 1 ? execv(argv[1], argv + 1) : 1;
}
END
certificates
make_leaf "$T/ca" "$T/certs/app/other" "$(spiffe other)"
good=$T/certs/app
rule='mesh\.ini:[0-9]+ \[(MeshPolicy default|DestinationRule app/all)\]'
both="127\.[0-9.]+:[0-9]+ -> $IP:7000"
them='spiffe://cluster\.local/ns/app/sa/'

# One line at warn or worse (or the level given), and what is in it.
line() { # WORKLOAD [info] [COUNT] PATTERN…
    local log=$T/log/mtls.$WAY.${1//\//.} level='warn|error' count=1 pattern
    shift
    [ "$1" != info ] || { level='info' && shift; }
    [ "$1" != 2 ] || { count=2 && shift; }
    grep -aE ": ($level): " "$log" | grep -av ': info: .*: TLS 1\.[23]' >"$T/lines" || true
    equal "lines of $WAY" $count "$(wc -l <"$T/lines")"
    for pattern; do has "$T/lines" "$pattern"; done
    equal "lines of $WAY with both addresses and a rule" $count "$(grep -aE "$both.*$rule" "$T/lines" | wc -l)"
}

# --- what a connecting program asks too much of ------------------------------------------------------

mesh STRICT ISTIO_MUTUAL
start server app/server "$(program select_server)" "$IP" 7000
wait_listen server 7000
asks() { # CASE [LEVEL] PATTERN…
    WAY=$1
    local case=$1
    shift
    run app/client python3 "$PROGS/inv_says.py" "$case" "$IP" 7000 "$T/static" >"$T/log/$case" 2>&1 || fail "$(cat "$T/log/$case")"
    line app/client "$@"
}
asks oob info MSG_OOB "${them}server"
asks zerocopy info SO_ZEROCOPY "${them}server"
asks ulp info TCP_ULP "${them}server"
asks passed 'not passed on to process [0-9]+, which does not run under mtlswrap' "${them}server"
asks fetched 'fetched from another process'
asks stdout 'not started' "${them}server"
asks other 'not handed on' "${them}server"

# No file may grow, the log neither: then standard error gets the lines. The next image has one of its own to say.
WAY=handed
run app/client python3 "$PROGS/inv_says.py" handed "$IP" 7000 2>&1 | cat >"$T/log/handed"
cat "$T/log/handed" >>"$T/log/mtls.$WAY.app.client"
line app/client 2 'cannot be handed on' 'did not come along'
WAY=room
run app/client python3 "$PROGS/inv_says.py" room "$IP" 7000 "$T/static" >"$T/log/room"
both="[^ ]+ -> $IP:7000" line app/client 'no room' # before connect() it has no address of its own
stop server

# --- ends and refusals of a connection ---------------------------------------------------------------

# The tested program accepts, a foreign peer misbehaves. What comes before that peer has a name has no name in it.
bad_client() { # CASE CERTIFICATES PATTERN…
    WAY=client-$1
    start accept app/server python3 "$PROGS/inv_says.py" "${ACCEPT:-accept}" "$IP" 7000
    wait_listen accept 7000
    run - python3 "$PROGS/bad_peer.py" client "$IP" 7000 "$1" "$2" >"$T/log/peer" 2>&1
    join accept 20
    line app/server "${@:3}"
}
bad_client garbage "$good/client" 'plaintext where mutual TLS'
bad_client reset "$good/client" 'broke off'
bad_client nocert "$good/client" certificate
bad_client flip "$good/client" authentication "${them}client"
bad_client truncate "$good/client" 'cut off' "${them}client"
bad_client replay "$good/client" authentication "${them}client"

# The tested program connects.
bad_server() { # CASE CERTIFICATES PATTERN…
    WAY=server-$1
    start peer - python3 "$PROGS/bad_peer.py" server "$IP" 7000 "$1" "$2"
    wait_listen peer 7000
    run app/client python3 "$PROGS/inv_says.py" "${SAYS:-connect}" "$IP" 7000
    join peer 20
    line app/client "${@:3}"
}
bad_server garbage "$good/server" 'not TLS'
bad_server honest "$good/other" 'wrong identity' "${them}other"
bad_server flip "$good/server" authentication "${them}server"
bad_server truncate "$good/server" 'cut off' "${them}server"

# Closed by the program, which would otherwise never hear of what it wrote.
sed -i 's/^trustDomain.*/&\nhandshake_timeout = 1s\nlinger = 1s/' "$T/mesh.ini"
SAYS=leave bad_server stall "$good/server" 'not finished in time'

# --- principals, PERMISSIVE and the program's own TLS ------------------------------------------------

mesh STRICT ISTIO_MUTUAL
sed -i 's|^mtls.mode.*|&\nprincipals = cluster.local/ns/app/sa/other|' "$T/mesh.ini"
bad_client honest "$good/client" 'not on the list' "${them}client"
mesh PERMISSIVE PERMISSIVE
rm "$T"/log/mtls.*-garbage.*
ACCEPT=hear bad_client garbage "$good/client" 'going on in plaintext'
bad_server garbage "$good/server" 'does not speak TLS, and .*again in plaintext: Connection refused; connection refused'
bad_server plain "$good/server" 'going on in plaintext'
sed -i 's|^mtls.mode.*|&\nmtls.tlsInTls = skip|' "$T/mesh.ini"
WAY=skip
start accept app/server python3 "$PROGS/inv_says.py" hear "$IP" 7000
wait_listen accept 7000
run - openssl s_client -connect "$IP:7000" </dev/null >"$T/log/peer" 2>&1 || true
join accept 20
line app/server info 'left alone as tlsInTls = skip says'

# --- nothing else ------------------------------------------------------------------------------------

# Whoever adds a line that a connection can write drives it here too. Not driven: what says that all is well; streams
# that fail (stdio_streams.sh), which are no connections yet; a worker that cannot be preloaded (exec_unwrapped.sh); a reload
# under a blocked writer, which says what mesh_reload.sh reads where nobody writes.
known='cannot be handed on|was protected in the process|broke off|refused on a protected|going on in plaintext|tlsInTls = skip
no room to protect|connection%s refused by rule|would get this|not handed on|not passed on|fetched from another process
TLS 1\.3|cannot be preloaded|wide characters|while a stdio stream|slot_name\(s, name\), why\);'
cd "$TOP"
grep -rnE 'log_(write|error|warn|info)\(' preload/conn preload/hooks | cut -d: -f1,2 | while IFS=: read -r file number; do
    sed -n "$number,$((number + 3))p" "$file" | tr -d '\n' | grep -qE "$(tr '\n' '|' <<<"$known" | sed 's/|$//')" ||
        fail "$file:$number writes a line that no test here drives"
done
