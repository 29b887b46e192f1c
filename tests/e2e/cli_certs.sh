#!/usr/bin/env bash
# `mtlswrap certs`: what it makes is what other tools take for good certificates.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
export MTLSWRAP_STATE=$T/state
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
case_ok() { say "ok $1"; }
text() { openssl x509 -in "$1" -noout "${@:2}"; }
serial() { text "$1/cert-chain.pem" -serial; }

try "$M" certs init --dir "$T/ca" --trust-domain example.org
equal status 0 "$S"
has "$T/out" 'made a CA for trust domain example.org'
before=$(text "$T/ca/root-cert.pem" -fingerprint)
try "$M" certs init --dir "$T/ca"
equal status 0 "$S"
has "$T/out" 'left alone'
equal 'the CA' "$before" "$(text "$T/ca/root-cert.pem" -fingerprint)"
equal 'mode of its key' 600 "$(stat -c %a "$T/ca/ca-key.pem")"
case_ok init

try "$M" certs issue --dir "$T/ca" --out "$T/certs" --as test1/sleep --dns sleep.test1,127.0.0.9 --lifetime 2h
equal status 0 "$S"
leaf=$T/certs/test1/sleep
openssl verify -CAfile "$leaf/root-cert.pem" -purpose sslserver "$leaf/cert-chain.pem" >"$T/out"
openssl verify -CAfile "$leaf/root-cert.pem" -purpose sslclient "$leaf/cert-chain.pem" >"$T/out"
text "$leaf/cert-chain.pem" -ext subjectAltName,extendedKeyUsage,basicConstraints >"$T/out"
has "$T/out" 'X509v3 Subject Alternative Name: critical'
has "$T/out" 'URI:spiffe://example.org/ns/test1/sa/sleep'
has "$T/out" 'DNS:sleep.test1, IP Address:127.0.0.9'
has "$T/out" 'TLS Web Server Authentication, TLS Web Client Authentication'
text "$leaf/cert-chain.pem" -checkend 7000 >"$T/out"
! text "$leaf/cert-chain.pem" -checkend 7300 >"$T/out" || fail 'it lives longer than it was told'
equal 'mode of the key' 600 "$(stat -c %a "$leaf/key.pem")"
case_ok issue

try "$M" certs show "$T/certs"
equal status 0 "$S"
has "$T/out" 'name +spiffe://example.org/ns/test1/sa/sleep'
has "$T/out" 'also +sleep.test1, 127.0.0.9'
has "$T/out" 'private key present and fitting'
has "$T/out" 'valid for (1 h 59|2 h 0) min more'
try "$M" certs show "$leaf/cert-chain.pem"
equal status 0 "$S"
try "$M" certs show "$T/ca"
has "$T/out" 'certificate authority'
try "$M" certs show "$T/nothing"
equal status 125 "$S"
has "$T/err" 'nothing: No such file'
echo nonsense >"$T/nonsense.pem"
try "$M" certs show "$T/nonsense.pem"
equal status 125 "$S"
has "$T/err" 'error: .*nonsense.pem'
case_ok show

try "$M" certs issue --dir "$T/ca" --out "$T/certs" --as test1/short --lifetime 1s
one=$(serial "$leaf")
two=$(serial "$T/certs/test1/short")
sleep 1.1
try "$M" certs renew --dir "$T/ca" "$T/certs"
equal status 0 "$S"
equal 'one that is young' "$one" "$(serial "$leaf")"
[ "$two" != "$(serial "$T/certs/test1/short")" ] || fail 'past its life and not renewed'
try "$M" certs renew --dir "$T/ca" --force "$T/certs"
[ "$one" != "$(serial "$leaf")" ] || fail 'not renewed with --force'
try "$M" certs renew --dir "$T/ca" --force "$T/certs"
text "$leaf/cert-chain.pem" -checkend 7000 >"$T/out"
! text "$leaf/cert-chain.pem" -checkend 7210 >"$T/out" || fail 'each renewal lives longer than the last'
text "$leaf/cert-chain.pem" -ext subjectAltName >"$T/out"
has "$T/out" 'DNS:sleep.test1, IP Address:127.0.0.9'
openssl verify -CAfile "$T/ca/root-cert.pem" "$leaf/cert-chain.pem" >"$T/out"
try "$M" certs renew "$T/certs"
equal 'status without a CA' 125 "$S"
try "$M" certs init
equal 'status of init' 0 "$S"
try "$M" certs renew --force "$T/certs"
has "$T/err" 'not issued by the CA in '
try "$M" certs init --dir "$T/twin" --trust-domain example.org
try "$M" certs renew --force --dir "$T/twin" "$T/certs"
has "$T/err" 'not issued by the CA in '
openssl verify -CAfile "$T/ca/root-cert.pem" "$leaf/cert-chain.pem" >"$T/out"
case_ok renew

for bad in 'Upper/x' 'a/b/c' '../x' 'a/..' 'a/b..c' 'a.b/c' 'a/' '/a' 'a/-b'; do
    try "$M" certs issue --dir "$T/ca" --out "$T/certs" --as "$bad"
    equal "status for $bad" 64 "$S"
done
for bad in 0 -1 1y x 99999999999d ''; do
    try "$M" certs issue --dir "$T/ca" --out "$T/certs" --as a/b --lifetime "$bad"
    equal "status for lifetime $bad" 64 "$S"
done
try "$M" certs issue --dir "$T/ca" --out "$T/certs" --as a_1/b.c_d
equal 'status for names with dots' 0 "$S"
try "$M" certs issue --dir "$T/none" --out "$T/certs" --as a/b
equal 'status without a CA' 125 "$S"
try "$M" certs
equal 'status of certs alone' 64 "$S"
try "$M" certs issue --help
equal status 0 "$S"
has "$T/out" '^  --lifetime TIME'
case_ok refusals
