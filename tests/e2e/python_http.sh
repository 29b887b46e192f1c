#!/bin/bash
# python3 -m http.server serves urllib and http.client (keep-alive off and on).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 10000000 /dev/urandom >"$T/big"
mkdir "$T/www" && mv "$T/big" "$T/www/" && printf '%s' "$MARK" >"$T/www/page"
cat >"$T/fetch.py" <<'END'
import http.client, sys, urllib.request
base = sys.argv[1]
print(urllib.request.urlopen(f"http://{base}/page", timeout=30).read().decode())
with open(sys.argv[2], "rb") as file:
    assert urllib.request.urlopen(f"http://{base}/big", timeout=30).read() == file.read()
link = http.client.HTTPConnection(base, timeout=30)
for _ in range(20):
    link.request("GET", "/page")
    assert link.getresponse().read()
END

scenario() {
    serve http python3 -m http.server -p HTTP/1.1 -b "$IP" -d "$T/www" 8000
    wait_listen http 8000
    equal page "$MARK" "$(client python3 "$T/fetch.py" "$IP:8000" "$T/www/big")"
    stop http
    hasnt "$T/log/http" Traceback
}
three_ways scenario
