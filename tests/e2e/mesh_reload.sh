#!/bin/bash
# An edited table counts for new connections, all of it or nothing; running connections that it refuses end where the table asks
# for that.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
certificates
make_leaf "$T/ca" "$T/certs/app/other" "$(spiffe other)"

table() { # MODE [LINE OF MESH]: mesh.ini.new, not yet in force
    cat >"$T/mesh.ini.new" <<-END
		[Mesh]
		certificates = $T/certs
		${2:-}
		[MeshPolicy default]
		mtls.mode = $1
		[Service app/server]
		address = $IP
		serviceAccount = server
		[DestinationRule app/all]
		host = *.local
		tls.mode = ISTIO_MUTUAL
	END
}
put() { mv "$T/mesh.ini.new" "$T/mesh.ini"; } # as editors do
overwrite() { cat "$T/mesh.ini.new" >"$T/mesh.ini"; }

# Clients read a table of their own, which stays as it is.
settled() { # WORKLOAD
    wrapping "$1" | sed s/mesh.ini$/client.ini/
}
ask() { # WORKLOAD
    local words
    mapfile -t words < <(settled "$1")
    timeout -k 5 "$LIMIT" env "${words[@]}" python3 "$PROGS/mesh_client.py" ask "$IP" 8000 "$MARK"
}
served() { ask "$1" | grep -q '^server heard'; }
refused() { ! served "$1"; }
words() { grep -c "$1" "$T/log/mtls.$WAY.app.server" || true; }

WAY=new
table STRICT
cp "$T/mesh.ini.new" "$T/client.ini"
put
start server app/server python3 "$PROGS/mesh_server.py" server "$IP" 8000 --keep
wait_listen server 8000
served app/client
refused -
table PERMISSIVE
put
wait_until 3 served -
has "$T/log/mtls.new.app.server" 'info: .*mesh.ini: the changed policy table is in force'
served app/client
table STRICT
overwrite
wait_until 3 refused -

# A broken table changes nothing, and says so once, with the line.
table PERMISSIVE
echo 'nonsense = 1' >>"$T/mesh.ini.new"
put
told() { refused - && [ "$(words 'the changed policy table cannot be used; the old one stays')" = 1 ]; }
wait_until 3 told
served app/client
for _ in {1..4}; do
    sleep 0.3
    refused -
done
equal 'lines about the broken table' 1 "$(words 'the changed policy table cannot be used')"
has "$T/log/mtls.new.app.server" "error: .*mesh.ini:[0-9]+: .*nonsense"

# Half of a table: an empty file, then one whose last line is cut, then all of it.
table PERMISSIVE
: >"$T/mesh.ini"
sleep 1
refused -
size=$(wc -c <"$T/mesh.ini.new")
head -c $((size * 2 / 3)) "$T/mesh.ini.new" >"$T/mesh.ini"
for _ in 1 2 3; do
    sleep 0.3
    refused -
done
tail -c +$((size * 2 / 3 + 1)) "$T/mesh.ini.new" >>"$T/mesh.ini"
wait_until 3 served -
rm "$T/mesh.ini"
sleep 0.6
served -
stop server

# Running connections. keep is the default.
running() { # WORKLOAD [NAME HOW]
    local as=app/$1 how=${3:-stay}
    shift $(($# > 1))
    rm -f "$T/line.$1"
    mkfifo "$T/line.$1"
    mapfile -t WORDS < <(settled "$as")
    start "talker.$1" - sh -c 'exec env "$@" <'"$T/line.$1" sh "${WORDS[@]}" \
        python3 "$PROGS/mesh_client.py" "$how" "$IP" 8000 again
    exec {LINE}>"$T/line.$1"
    echo >&$LINE
    wait_until 20 grep -q '^server heard again' "$T/log/talker.$1"
}
talks() { # WORKLOAD DESCRIPTOR
    local before
    before=$(wc -l <"$T/log/talker.$1")
    echo >&"$2"
    wait_until 20 eval "[ \$(wc -l <'$T/log/talker.$1') -gt $before ]"
    tail -n 1 "$T/log/talker.$1"
}
only_other='principals = cluster.local/ns/app/sa/other'
for change in keep close; do
    WAY=$change
    table STRICT "onPolicyChange = $change"
    put
    start server app/server python3 "$PROGS/mesh_server.py" server "$IP" 8000 --keep
    wait_listen server 8000
    running client
    one=$LINE
    running other
    two=$LINE
    running client returns again
    three=$LINE
    has <(talks returns "$three") '^server heard again'
    has "$T/log/mtls.$WAY.app.server" 'TLS 1.3 resumed, peer "spiffe://cluster.local/ns/app/sa/client"'
    has <(talks client "$one") '^server heard again'
    table STRICT "onPolicyChange = $change"
    sed -i "s|^mtls.mode.*|&\n$only_other|" "$T/mesh.ini.new"
    put
    wait_until 3 refused app/client
    served app/other
    equal 'a resumed session' ConnectionResetError "$(talks returns "$three")"
    has <(talks other "$two") '^server heard again'
    if [ $change = keep ]; then
        has <(talks client "$one") '^server heard again'
    else
        has "$T/log/mtls.close.app.server" "warn: .* -> $IP:8000: the changed table ends it: peer \"spiffe://cluster.local/ns/app/sa/client\", it is not on the list of principals now \(mesh.ini:[0-9]+ \[MeshPolicy default\]\)"
        has <(talks client "$one") '^ConnectionResetError$'
        equal 'connections ended' 1 "$(words 'the changed table ends it')"
    fi
    exec {one}>&- {two}>&- {three}>&-
    for name in talker.client talker.other talker.returns server; do stop "$name"; done
done

# A process that makes no further connection notices while a handshake is going on in the background.
WAY=background
table STRICT
put
cp "$T/mesh.ini" "$T/client.ini"
sed -i 's/^\[MeshPolicy/onPolicyChange = close\n&/' "$T/client.ini"
start server app/server python3 "$PROGS/mesh_server.py" server "$IP" 8000 --keep
start silent - python3 -c 'import socket, sys, time
listener = socket.create_server((sys.argv[1], 8001))
time.sleep(600)' "$IP"
wait_listen server 8000
wait_listen silent 8001
mapfile -t words < <(settled app/client)
start waiter - env "${words[@]}" python3 "$PROGS/mesh_client.py" wait "$IP" 8000 again
wait_until 20 grep -q '^server heard again' "$T/log/waiter"
sed 's|^tls.mode.*|&\ntls.subjectAltNames = spiffe://cluster.local/ns/app/sa/other|' "$T/client.ini" >"$T/client.new"
mv "$T/client.new" "$T/client.ini"
join waiter 9 # before the handshake with the silent server times out
has "$T/log/waiter" '^ConnectionResetError$'
has "$T/log/mtls.background.app.client" "warn: .* -> $IP:8000: the changed table ends it: peer \"spiffe://cluster.local/ns/app/sa/server\", the server's name is another one now \(client.ini:[0-9]+ \[DestinationRule app/all\]\)"
