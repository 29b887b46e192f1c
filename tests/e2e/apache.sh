#!/bin/bash
# apache2 in each of its three process models: files, keep-alive, a load, and CGI programs that get a request body of 10 MB.
# limit: 420
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/www/cgi" "$T/run"
chmod 777 "$T/run"
printf '%s' "$MARK" >"$T/www/page"
head -c 10000000 /dev/urandom >"$T/www/big"
cat >"$T/www/cgi/echo" <<END
#!/bin/sh
# The server sends the whole body before it reads a byte of the answer.
cat >"$T/run/body"
printf 'Content-Type: application/octet-stream\r\n\r\n'
exec cat "$T/run/body"
END
chmod 755 "$T/www/cgi/echo"

configuration() { # MODEL CGI-MODULE
    local module
    for module in mpm_"$1" authz_core alias "$2"; do
        echo "LoadModule ${module}_module /usr/lib/apache2/modules/mod_$module.so"
    done
    cat <<-END
		ServerRoot $T
		ServerName server
		PidFile $T/run/pid
		DefaultRuntimeDir $T/run
		Listen $IP:8080
		ErrorLog $T/log/apache
		DocumentRoot $T/www
		ScriptAlias /cgi/ $T/www/cgi/
		<Directory $T/www>
		    Require all granted
		</Directory>
		GracefulShutdownTimeout 1
	END
    [ "$2" != cgid ] || echo "ScriptSock $T/run/cgid"
    [ "$(id -u)" -ne 0 ] || printf 'User www-data\nGroup www-data\n'
}

scenario() {
    local model url=http://$IP:8080
    for model in prefork worker event; do
        configuration $model "$([ $model = prefork ] && echo cgi || echo cgid)" >"$T/apache.conf"
        serve $model apache2 -f "$T/apache.conf" -D FOREGROUND
        wait_listen $model 8080
        equal page "$MARK" "$(client curl -sS --fail "$url/page")"
        client curl -sS --fail "$url/big" | cmp - "$T/www/big"
        client curl -sS --fail --data-binary "@$T/www/big" "$url/cgi/echo" | cmp - "$T/www/big"
        equal reused 1 "$(client curl -sS --fail -o /dev/null -w '%{num_connects}\n' "$url/page?[1-50]" | awk '{n += $1} END {print n}')"
        client wrk -t 2 -c 20 -d 1 "$url/page" >"$T/log/wrk"
        hasnt "$T/log/wrk" 'Socket errors|Non-2xx'
        stop $model
    done
}
three_ways scenario
