#!/bin/bash
# nginx's own TLS as the other end: its http and stream modules, accepting and connecting, each TLS version,
# sessions resumed, checking the wrapped program's certificate.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# nginx's http module ends a handshake that offers only Istio's protocol name: it is met with MUTUAL, which offers none.
mesh STRICT ISTIO_MUTUAL - <<END

[DestinationRule app/foreign]
host = server.app.svc.cluster.local
tls.mode = ISTIO_MUTUAL
portLevelSettings.8443.tls.mode = MUTUAL
portLevelSettings.8443.tls.clientCertificate = $T/certs/app/client/cert-chain.pem
portLevelSettings.8443.tls.privateKey = $T/certs/app/client/key.pem
portLevelSettings.8443.tls.caCertificates = $T/ca/root-cert.pem
portLevelSettings.8443.tls.subjectAltNames = spiffe://cluster.local/ns/app/sa/server
END
mkdir -p "$T/www/put" "$T/nginx"
chmod 777 "$T/www" "$T/www/put" "$T/nginx"
{ echo "$MARK" && head -c 10000000 /dev/urandom; } >"$T/www/big"
port=$((20000 + $$ % 9000))

configuration() { # VERSION
    cat <<-END
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		daemon off;
		pid $T/nginx/pid;
		error_log stderr notice;
		events { worker_connections 512; }
		stream {
		    server {
		        listen $IP:8444 ssl;
		        ssl_protocols $1;
		        ssl_certificate $T/certs/app/server/cert-chain.pem;
		        ssl_certificate_key $T/certs/app/server/key.pem;
		        ssl_client_certificate $T/ca/root-cert.pem;
		        ssl_verify_client on;
		        proxy_pass 127.0.0.1:$port;
		    }
		    server {
		        listen 127.0.0.1:$((port + 1));
		        proxy_pass $IP:8000;
		        proxy_ssl on;
		        proxy_ssl_protocols $1;
		        proxy_ssl_certificate $T/certs/app/client/cert-chain.pem;
		        proxy_ssl_certificate_key $T/certs/app/client/key.pem;
		    }
		}
		http {
		    access_log off;
		    client_max_body_size 100m;
		    client_body_temp_path $T/nginx/body;
		    proxy_temp_path $T/nginx/proxy;
		    fastcgi_temp_path $T/nginx/fastcgi;
		    uwsgi_temp_path $T/nginx/uwsgi;
		    scgi_temp_path $T/nginx/scgi;
		    server {
		        listen 127.0.0.1:$port;
		        listen $IP:8443 ssl;
		        ssl_protocols $1;
		        ssl_certificate $T/certs/app/server/cert-chain.pem;
		        ssl_certificate_key $T/certs/app/server/key.pem;
		        ssl_client_certificate $T/ca/root-cert.pem;
		        ssl_verify_client on;
		        ssl_session_cache shared:s:1m;
		        root $T/www;
		        location /put/ { dav_methods PUT; }
		        location /who { return 200 "\$ssl_protocol \$ssl_session_reused \$ssl_client_verify\n"; }
		        location /back/ {
		            proxy_pass https://$IP:8000/;
		            proxy_ssl_protocols $1;
		            proxy_ssl_certificate $T/certs/app/client/cert-chain.pem;
		            proxy_ssl_certificate_key $T/certs/app/client/key.pem;
		        }
		    }
		}
	END
}

fetch() { run "$1" curl -sS --fail "$2" | cmp - "$T/www/big"; }

for version in TLSv1.3 TLSv1.2; do
    WAY=$version
    configuration $version >"$T/nginx.conf"
    capture_start
    start web app/server python3 -m http.server -b "$IP" -d "$T/www" 8000
    wait_listen web 8000
    start nginx - nginx -p "$T" -e stderr -c "$T/nginx.conf"
    wait_listen nginx 8443
    # Accepting: a wrapped curl speaks plain HTTP as far as it knows.
    fetch app/client "http://$IP:8443/big"
    fetch app/client "http://$IP:8444/big"
    run app/client curl -sS --fail -T "$T/www/big" "http://$IP:8443/put/$version"
    cmp "$T/www/put/$version" "$T/www/big"
    equal who "$version . SUCCESS" "$(run app/client curl -sS "http://$IP:8443/who")"
    # The second connection of one process resumes the first one's session.
    equal reused "$version r SUCCESS" "$(run app/client curl -sS -H 'Connection: close' "http://$IP:8443/who?[1-3]" | tail -n 1)"
    # Connecting: nginx towards a wrapped server, twice, the second time with a session of the first.
    for _ in 1 2 3; do
        fetch - "http://127.0.0.1:$port/back/big"
        fetch - "http://127.0.0.1:$((port + 1))/big"
    done
    stop nginx
    stop web
    capture_stop
    wire_protected
done
