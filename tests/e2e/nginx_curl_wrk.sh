#!/bin/bash
# nginx with two workers and sendfile serves curl (whole file, range, upload, keep-alive) and wrk.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 10000000 /dev/urandom >"$T/big"
printf '%s\n' "$MARK" >"$T/page.txt"
mkdir -p "$T/nginx"
cat >"$T/nginx.conf" <<END
daemon off;
worker_processes 2;
pid $T/nginx/pid;
error_log stderr notice;
events { worker_connections 512; }
http {
    access_log off;
    sendfile on;
    client_max_body_size 100m;
    client_body_temp_path $T/nginx/body;
    proxy_temp_path $T/nginx/proxy;
    fastcgi_temp_path $T/nginx/fastcgi;
    uwsgi_temp_path $T/nginx/uwsgi;
    scgi_temp_path $T/nginx/scgi;
    server {
        listen $IP:8080 reuseport;
        root $T;
        location /put/ { dav_methods PUT; create_full_put_path on; root $T/www; }
    }
}
END
mkdir -p "$T/www/put" && chmod -R 777 "$T/www" "$T/nginx"

scenario() {
    local url=http://$IP:8080
    serve nginx nginx -p "$T" -e stderr -c "$T/nginx.conf"
    wait_listen nginx 8080
    equal page "$MARK" "$(client curl -sS --fail "$url/page.txt")"
    client curl -sS --fail "$url/big" | cmp - "$T/big"
    client curl -sS --fail -r 1000000-1999999 "$url/big" | cmp - <(head -c 2000000 "$T/big" | tail -c 1000000)
    client curl -sS --fail -T "$T/big" "$url/put/$WAY"
    cmp "$T/www/put/$WAY" "$T/big"
    # One connection, many requests.
    equal reused 1 "$(client curl -sS --fail -o /dev/null -w '%{num_connects}\n' "$url/page.txt?[1-50]" | awk '{n += $1} END {print n}')"
    client wrk -t 2 -c 32 -d 2 "$url/page.txt" >"$T/log/wrk"
    has "$T/log/wrk" 'requests in'
    hasnt "$T/log/wrk" 'Socket errors|Non-2xx'
    stop nginx
}
three_ways scenario
