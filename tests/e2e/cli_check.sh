#!/usr/bin/env bash
# `mtlswrap check`, `explain`, `help` and `--version`: statuses, words, JSON.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
export MTLSWRAP_STATE=$T/state
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
case_ok() { say "ok $1"; }
json() { python3 -c "import json, sys; d = json.load(open('$T/out')); sys.exit(not ($1))" || fail "JSON: $1"; }

printf '[Mesh]\nnamespace = default\nbogus = 1\n\n[Nonsense x]\n[Policy a/b]\nmtls.mode = STRIKT\n' >"$T/bad.ini"
try "$M" check "$T/bad.ini"
equal status 78 "$S"
has "$T/out" "bad.ini:3: error: .*bogus"
has "$T/out" "bad.ini:5: error: .*Nonsense"
has "$T/out" "bad.ini:7: error: .*STRIKT"
has "$T/out" "bad.ini: 3 errors"
try "$M" check --json "$T/bad.ini"
equal status 78 "$S"
json 'd["errors"] == 3 and [f["line"] for f in d["findings"] if f["severity"] == "error"] == [3, 5, 7]'
try "$M" check "$T/none.ini"
equal status 78 "$S"
has "$T/out" 'none.ini: error: '
case_ok errors

printf '[MeshPolicy default]\nmtls.mode = PERMISSIVE\n' >"$T/soft.ini"
try "$M" check "$T/soft.ini"
equal status 0 "$S"
has "$T/out" 'soft.ini:[0-9]+: warning: '
try "$M" check --strict "$T/soft.ini"
equal 'status with --strict' 1 "$S"
try "$M" check --strict --json "$T/soft.ini"
json 'd["errors"] == 0 and d["warnings"] >= 1'
printf '[MeshPolicy default]\nmtls.mode = STRICT\n' >"$T/clean.ini"
try "$M" check --strict "$T/clean.ini"
equal status 0 "$S"
has "$T/out" 'no errors, no warnings'
try "$M" check
equal 'status without a file' 64 "$S"
if [ -e /dev/full ]; then
    S=0
    "$M" check "$T/clean.ini" >/dev/full 2>"$T/err" || S=$?
    equal 'status when nothing can be written' 125 "$S"
fi
case_ok warnings

cat >"$T/mesh.ini" <<'INI'
[MeshPolicy default]
mtls.mode = STRICT
[Policy test1/httpbin]
targets = httpbin
mtls.mode = STRICT
principals = cluster.local/ns/test1/sa/sleep
portLevelMtls.8001.mode = DISABLE
[DestinationRule test1/all]
host = *.local
tls.mode = ISTIO_MUTUAL
[DestinationRule test1/httpbin]
host = httpbin
tls.mode = ISTIO_MUTUAL
portLevelSettings.8001.tls.mode = DISABLE
[Service test1/httpbin]
address = 127.1.0.10
ports = 8000, 8001
serviceAccount = bin
[Workload test2/sleep]
serviceAccount = sleep
[Workload test3/sleep]
mesh = false
INI
explain() { try "$M" explain --config "$T/mesh.ini" "$@" && equal "status of $*" 0 "$S"; }
explain --as test1/sleep httpbin:8000
has "$T/out" 'decision: ISTIO_MUTUAL, by .*mesh.ini:11 \[DestinationRule test1/httpbin\]'
has "$T/out" 'the server must be spiffe://cluster.local/ns/test1/sa/bin'
has "$T/out" 'server name sent: outbound_.8000_._.httpbin.test1.svc.cluster.local'
has "$T/out" '  - .*mesh.ini:8 \[DestinationRule test1/all\]: '
has "$T/out" '  \* .*mesh.ini:11 '
explain --as test1/sleep 127.1.0.10:8000 --json
json 'd["side"] == "connecting" and d["mode"] == "ISTIO_MUTUAL" and d["rule"]["line"] == 11'
json 'd["subjectAltNames"] == ["spiffe://cluster.local/ns/test1/sa/bin"] and d["anyOfTrustDomain"] is False'
json 'sum(s["decided"] for s in d["considered"]) == 1'
explain --as test1/sleep httpbin:8001 --json
json 'd["mode"] == "DISABLE" and d["subjectAltNames"] == []'
explain --as test1/sleep '[2001:db8::1]:443' --json
json 'd["mode"] == "DISABLE" and d["rule"]["file"] is None and d["target"] == "[2001:db8::1]:443"'
case_ok explain-connecting

explain --as test1/httpbin --listen 8000 --from test1/sleep
has "$T/out" 'accepting: test1/httpbin .*127.1.0.10:8000'
has "$T/out" 'decision: STRICT, by .*mesh.ini:3 '
has "$T/out" 'from test1/sleep .*: may connect'
explain --as test1/httpbin --listen 8000 --from test2/sleep --json
json 'd["allowed"] is False and d["principal"] == "cluster.local/ns/test2/sa/sleep" and "principals" in d["verdict"]'
explain --as test1/httpbin --listen 8000 --from test3/sleep --json
json 'd["allowed"] is False and "plaintext" in d["verdict"]'
explain --as test1/httpbin --listen 127.1.0.10:8001 --from test3/sleep --json
json 'd["mode"] == "DISABLE" and d["allowed"] is True'
explain --as test2/other --listen 9 --json
json 'd["mode"] == "STRICT" and d["rule"]["line"] == 1 and d["from"] is None'
case_ok explain-accepting

for bad in 'x' 'x:0' 'x:65536' 'x:1x' ':1' ''; do
    try "$M" explain --config "$T/mesh.ini" --as a/b "$bad"
    equal "status for '$bad'" 64 "$S"
done
try "$M" explain --config "$T/mesh.ini" --as a/b/c x:1
equal status 64 "$S"
try "$M" explain --config "$T/mesh.ini" --as a/b --listen 1 x:1
equal status 64 "$S"
try "$M" explain --config "$T/mesh.ini" --as a/b --from c/d x:1
equal status 64 "$S"
try "$M" explain --config "$T/bad.ini" --as a/b x:1
equal status 78 "$S"
try "$M" explain --as a/b x:1
equal 'status without any table' 78 "$S"
try env MTLSWRAP_CONFIG="$T/mesh.ini" MTLSWRAP_WORKLOAD=test1/sleep "$M" explain httpbin:8000
has "$T/out" 'connecting: test1/sleep'
case_ok explain-refusals

try "$M" --version
equal status 0 "$S"
has "$T/out" '^mtlswrap [0-9]+\.[0-9]+\.[0-9]+$'
try "$M"
equal status 64 "$S"
try "$M" nonsense
equal status 64 "$S"
try "$M" help
equal status 0 "$S"
mapfile -t commands < <(sed -n 's/^  \([a-z]*\) .*/\1/p' "$T/out")
for c in run certs check explain doctor up import; do
    [[ " ${commands[*]} " == *" $c "* ]] || fail "help does not list $c"
done
for c in "${commands[@]}"; do
    [ "$c" = help ] && continue
    try "$M" help "$c"
    equal "status of help $c" 0 "$S"
    has "$T/out" "^usage: mtlswrap $c "
    cp "$T/out" "$T/first"
    try "$M" "$c" --help
    cmp "$T/first" "$T/out"
done
case_ok help

# What --help lists is in the manual, and the other way round.
page=$TOP/preload/cli/mtlswrap.1
{
    for c in "${commands[@]}"; do [ "$c" = certs ] || "$M" "$c" --help; done
    for c in init issue show renew; do "$M" certs $c --help; done
} | grep -oE -- '--[a-z-]+' | sort -u | grep -vx -e --help -e --version >"$T/out"
sed 's/\\-/-/g' "$page" | grep -oE -- '--[a-z-]+' | sort -u | grep -vx -e --help -e --version -e --list >"$T/page"
diff "$T/out" "$T/page" >&2
case_ok manual
