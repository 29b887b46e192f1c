#!/bin/bash
# The main job, shown on real programs: each line says what was done, what had to happen and what happened.
# Exit status 0 when every line is as expected. Needs nothing but what `make demo` installs and builds; everything
# lives in a temporary directory and on loopback addresses.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

PATH=$BUILD:$PATH
URL=http://$IP:18080 # ports that seldom have an owner
wrong=0

table() { # INBOUND OUTBOUND
    cat >"$T/mesh.ini" <<-END
		[Mesh]
		trustDomain = cluster.local
		certificates = $T/certs

		[MeshPolicy default]
		mtls.mode = $1

		[DestinationRule app/all]
		host = *.local
		tls.mode = $2

		[Service app/server]
		address = $IP
		serviceAccount = server
	END
}

row() { printf '%-6s  %-52s  %-15s  %s\n' "$@"; }

# Compares and prints one line of the table.
step() { # WHAT EXPECTED SEEN
    if [ "$2" = "$3" ]; then
        row ok "$1" "$2" "$3"
    else
        row WRONG "$1" "$2" "$3"
        wrong=$((wrong + 1))
    fi
}

# Runs a client and says in one word how it went.
try() { # COMMAND…
    local out
    if out=$(timeout 20 "$@" 2>>"$T/log/clients") && [ "$out" = "$MARK" ]; then
        echo served
    elif [[ $out == *"$MARK"* ]]; then
        echo 'served in part'
    else
        echo refused
    fi
}
wrapped() { # WORKLOAD COMMAND…: the words that run it
    words=(env MTLSWRAP_LOG_FILE="$T/log/mtls" mtlswrap run --config "$T/mesh.ini" --as "$1" -- "${@:2}")
}
fetch_wrapped() { # COMMAND…
    wrapped app/client "$@"
    try "${words[@]}"
}
serve_wrapped() { # NAME PORT COMMAND…
    wrapped app/server "${@:3}"
    start "$1" - "${words[@]}"
    wait_listen "$1" "$2"
}
on_the_wire() {
    local tls plain
    tls=$(wire_count tls)
    plain=$(wire_count plain)
    if wire_has "$MARK"; then echo "the text itself"; elif [ "$plain" -eq 0 ] && [ "$tls" -gt 0 ]; then echo "TLS only"; else echo "tls $tls, plain $plain"; fi
}
captured() { # WHAT EXPECTED: one line for what was on the wire since capture_start
    capture_stop
    step "$1" "$2" "$(on_the_wire)"
}

identities() {
    mtlswrap certs init --dir "$T/ca" >"$T/log/certs"
    mtlswrap certs issue --dir "$T/ca" --as app/server --out "$T/certs" >>"$T/log/certs"
    mtlswrap certs issue --dir "$T/ca" --as app/client --out "$T/certs" >>"$T/log/certs"
}

programs() {
    mkdir -p "$T/www" "$T/nginx"
    printf '%s' "$MARK" >"$T/www/page"
    cat >"$T/nginx.conf" <<-END
		daemon off;
		pid $T/nginx/pid;
		error_log stderr error;
		events {}
		http {
		    access_log off;
		    client_body_temp_path $T/nginx/body;
		    proxy_temp_path $T/nginx/proxy;
		    fastcgi_temp_path $T/nginx/fastcgi;
		    uwsgi_temp_path $T/nginx/uwsgi;
		    scgi_temp_path $T/nginx/scgi;
		    server { listen $IP:18080; root $T/www; }
		}
	END
}

strict_both() {
    table STRICT ISTIO_MUTUAL
    capture_start
    serve_wrapped nginx 18080 nginx -p "$T" -e stderr -c "$T/nginx.conf"
    step 'nginx <- curl, both wrapped, STRICT' served "$(fetch_wrapped curl -sS --fail "$URL/page")"
    serve_wrapped redis 16379 redis-server --bind "$IP" --port 16379 --save '' --dir "$T"
    fetch_wrapped redis-cli -h "$IP" -p 16379 set text "$MARK" >/dev/null
    step 'redis-server <- redis-cli, both wrapped, STRICT' served "$(fetch_wrapped redis-cli -h "$IP" -p 16379 get text)"
    serve_wrapped python 18000 python3 -m http.server -b "$IP" -d "$T/www" 18000
    step 'python3 http.server <- curl, both wrapped, STRICT' served "$(fetch_wrapped curl -sS --fail "http://$IP:18000/page")"
    captured '  packets of these three' 'TLS only'
    step 'nginx <- curl not wrapped, STRICT' refused "$(try curl -sS --fail -m 15 "$URL/page")"
    step 'redis-server <- redis-cli not wrapped, STRICT' refused "$(try redis-cli -h "$IP" -p 16379 get text)"
    stop redis
    stop python
    stop nginx
}

permissive() {
    table PERMISSIVE ISTIO_MUTUAL
    serve_wrapped nginx 18080 nginx -p "$T" -e stderr -c "$T/nginx.conf"
    capture_start
    step 'nginx <- curl not wrapped, PERMISSIVE' served "$(try curl -sS --fail "$URL/page")"
    captured '  its packets' 'the text itself'
    capture_start
    step 'nginx <- curl wrapped, PERMISSIVE' served "$(fetch_wrapped curl -sS --fail "$URL/page")"
    captured '  its packets' 'TLS only'
    stop nginx
}

server_not_wrapped() {
    start nginx - nginx -p "$T" -e stderr -c "$T/nginx.conf"
    wait_listen nginx 18080
    capture_start
    step 'nginx not wrapped <- curl wrapped, ISTIO_MUTUAL' refused "$(fetch_wrapped curl -sS --fail "$URL/page?$MARK")"
    capture_stop
    step '  the request on the wire' absent "$(if wire_has "$MARK"; then echo present; else echo absent; fi)"
    table PERMISSIVE DISABLE
    step 'the same after a DISABLE rule' served "$(fetch_wrapped curl -sS --fail "$URL/page")"
    stop nginx
}

WAY=demo
identities
programs
row '' 'what is done' expected seen
row ------ ---------------------------------------------------- --------------- ---------------
strict_both
permissive
server_not_wrapped
if [ $wrong -ne 0 ]; then
    fail "$wrong lines are not as expected"
fi
echo 'all as expected'
