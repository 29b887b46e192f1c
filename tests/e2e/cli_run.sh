#!/usr/bin/env bash
# shellcheck disable=SC2016
# `mtlswrap run`: what it refuses and with which status, what the program gets, and that the proof of loading
# is real: a program without the object does not live on.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
export MTLSWRAP_STATE=$T/state
unset MTLSWRAP_LIB
export ASAN_OPTIONS=verify_asan_link_order=0 # for a build of the command with ASan: it is started with LD_PRELOAD

# An object that proves its loading and does nothing else, one that proves nothing, one that ld.so refuses.
cat >"$T/good.c" <<'C'
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void prove(void) {
    const char *word = getenv("MTLSWRAP_PROOF");
    if (!word)
        return;
    int fd = atoi(word);
    if (write(fd, "p", 1) != 1)
        _exit(99);
    close(fd);
    unsetenv("MTLSWRAP_PROOF");
}
C
echo 'int silent(void) { return 0; }' >"$T/silent.c"
echo 'int main(void) { return 0; }' >"$T/empty.c"
mkdir "$T/good" "$T/silent" "$T/odd"
gcc -shared -fPIC -o "$T/good/libmtlswrap.so" "$T/good.c"
gcc -shared -fPIC -o "$T/silent/libmtlswrap.so" "$T/silent.c"
cp "$T/good/libmtlswrap.so" "$T/odd/"
printf '\377' | dd of="$T/odd/libmtlswrap.so" bs=1 seek=7 conv=notrunc status=none # EI_OSABI
gcc -static -o "$T/static" "$T/empty.c"
gcc -o "$T/empty" "$T/empty.c"

# Runs it; the status is in S, the output in out and err.
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
with() { # OBJECT WORDS…
    local object=$1
    shift
    try env "MTLSWRAP_LIB=$T/$object/libmtlswrap.so" "$M" run "$@"
}

case_ok() { say "ok $1"; }

with good -- sh -c 'echo "$LD_PRELOAD|$MTLSWRAP_CONFIG|$MTLSWRAP_WORKLOAD|$MTLSWRAP_PROOF"'
equal status 0 "$S"
equal environment "$T/good/libmtlswrap.so|$T/state/default.ini||" "$(cat "$T/out")"
has "$T/err" 'no table named'
equal 'lines on standard error' 3 "$(wc -l <"$T/err")" # CA made, certificate issued, no table named
case_ok default-table

with good -- true
equal 'lines on standard error' 1 "$(wc -l <"$T/err")"
"$M" check --strict "$T/state/default.ini" >"$T/out"
equal 'mode of the state directory' 700 "$(stat -c %a "$T/state")"
equal 'mode of the CA key' 600 "$(stat -c %a "$T/state/ca-key.pem")"
case_ok second-run-is-quiet

rm -rf "$T/state"
for i in 1 2 3 4 5 6 7 8; do
    MTLSWRAP_LIB=$T/good/libmtlswrap.so "$M" run --as "race/w$((i % 2))" -- true 2>"$T/log/race$i" &
    PIDS[race$i]=$!
done
for i in 1 2 3 4 5 6 7 8; do
    join "race$i" 30
    equal "status of racer $i" 0 "$STATUS"
done
equal 'CAs made' 1 "$(cat "$T"/log/race* | grep -c 'made a certificate authority')"
equal 'certificates issued' 2 "$(cat "$T"/log/race* | grep -c 'issued a certificate')"
for w in w0 w1; do
    openssl verify -CAfile "$T/state/root-cert.pem" "$T/state/certs/race/$w/cert-chain.pem" >"$T/out"
    equal "key of $w" "$(openssl x509 -in "$T/state/certs/race/$w/cert-chain.pem" -noout -pubkey)" \
        "$(openssl pkey -in "$T/state/certs/race/$w/key.pem" -pubout)"
done
case_ok first-use-at-once

printf '[Mesh]\ncertificates = ./certs\n' >"$T/mesh.ini"
(cd "$T" && with good --config mesh.ini --as=test1/sleep -- sh -c 'echo "$MTLSWRAP_CONFIG|$MTLSWRAP_WORKLOAD"')
equal environment "$T/mesh.ini|test1/sleep" "$(cat "$T/out")"
has "$T/err" 'issued a certificate for test1/sleep'
[ -s "$T/certs/test1/sleep/key.pem" ] || fail 'no certificate was issued beside the table'
case_ok own-table

# What another CA has issued is not ours to replace, due or not; nor do we issue for another trust domain.
"$M" certs init --dir "$T/production" >"$T/out"
"$M" certs issue --dir "$T/production" --out "$T/certs" --as test1/prod --lifetime 1s >"$T/out"
cp "$T/certs/test1/prod/cert-chain.pem" "$T/before.pem"
with good --config "$T/mesh.ini" --as test1/prod -- true
equal status 0 "$S"
cmp "$T/before.pem" "$T/certs/test1/prod/cert-chain.pem"
printf '[Mesh]\ncertificates = ./other\ntrustDomain = example.org\n' >"$T/other.ini"
with good --config "$T/other.ini" --as test1/sleep -- true
equal status 0 "$S"
[ ! -e "$T/other" ] || fail 'issued for a trust domain that is not the CA'"'"'s'
case_ok foreign-certificates

try env LD_PRELOAD= MTLSWRAP_LIB="$T/good/libmtlswrap.so" MTLSWRAP_CONFIG="$T/mesh.ini" "$M" run -- \
    sh -c 'echo "$MTLSWRAP_CONFIG"'
equal config "$T/mesh.ini" "$(cat "$T/out")"
try env LD_PRELOAD="$T/silent/libmtlswrap.so" MTLSWRAP_LIB="$T/good/libmtlswrap.so" "$M" run -- \
    sh -c 'echo "$LD_PRELOAD"'
equal preload "$T/good/libmtlswrap.so:$T/silent/libmtlswrap.so" "$(cat "$T/out")"
case_ok environment-is-honoured

with good -- sh -c 'exit 41'
equal status 41 "$S"
printf 'echo "script $1"\n' >"$T/plain"
printf '#!/bin/sh -e\necho "script $1"\n' >"$T/script"
chmod +x "$T/plain" "$T/script"
for s in plain script; do
    with good -- "$T/$s" word
    equal "$s" "0 script word" "$S $(cat "$T/out")"
done
MTLSWRAP_LIB=$T/good/libmtlswrap.so "$M" run -- sh -c 'echo $$' >"$T/out" 2>"$T/err" &
wait $!
equal 'the process id is kept' "$!" "$(cat "$T/out")"
cat >"$T/look.py" <<'PY'
import os
print(*os.listdir("/proc/self/fd"))
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("no child")
PY
with good -- python3 "$T/look.py"
equal 'descriptors and children' "$(python3 "$T/look.py" </dev/null 2>"$T/err")" "$(cat "$T/out")"
case_ok the-program-is-itself

# ASan's runtime insists on being the first object of all.
gcc -fsanitize=address -o "$T/asan" "$T/empty.c"
try env -u ASAN_OPTIONS MTLSWRAP_LIB="$T/good/libmtlswrap.so" "$M" run -- "$T/asan"
equal 'status of a program with ASan' 0 "$S"
case_ok asan

refused() { # STATUS PATTERN WORDS…
    local expected=$1 pattern=$2
    shift 2
    with good "$@"
    equal "status of run $*" "$expected" "$S"
    has "$T/err" "$pattern"
    equal 'lines on standard error' 1 "$(grep -c '^mtlswrap: error: ' "$T/err")"
    [ ! -s "$T/out" ] || fail "the program ran: $*"
}
refused 127 'no-such-program: not found' -- no-such-program
refused 127 '/no/such/program: not found' -- /no/such/program
refused 126 'Permission denied' -- /etc/passwd
refused 126 'Permission denied' -- "$T"
refused 126 'statically linked' -- "$T/static"
printf '#!%s\n' "$T/static" >"$T/static-script"
chmod +x "$T/static-script"
refused 126 'static is statically linked' -- "$T/static-script"
printf '#!/no/such/shell\n' >"$T/lost-script"
chmod +x "$T/lost-script"
refused 127 'interpreter /no/such/shell: No such file' -- "$T/lost-script"
printf '\1\2\3\0\0' >"$T/data"
chmod +x "$T/data"
refused 126 'neither an ELF program nor a script' -- "$T/data"
head -c 200 /bin/true >"$T/cut"
chmod +x "$T/cut"
refused 126 'headers are broken' -- "$T/cut"
cp "$T/empty" "$T/foreign"
printf '\050\000' | dd of="$T/foreign" bs=1 seek=18 conv=notrunc status=none # EM_ARM
refused 126 'is built for arm' -- "$T/foreign"
refused 78 'missing.ini: ' --config "$T/missing.ini" -- true
printf '[Mesh]\n\nnonsense = 1\n' >"$T/bad.ini"
refused 78 'bad.ini:3: ' --config "$T/bad.ini" -- true
case_ok refusals

with good
equal status 64 "$S"
with good --as
equal status 64 "$S"
with good --nonsense true
equal status 64 "$S"
try "$M" run --help
equal status 0 "$S"
has "$T/out" '^usage: mtlswrap run '
case_ok usage

with good --force -- "$T/static"
equal status 0 "$S"
has "$T/err" 'PLAINTEXT \(--force\)'
case_ok force

if [ "$(id -u)" = 0 ] && command -v setpriv >"$T/out"; then
    cp "$T/empty" "$T/suid"
    chown nobody "$T/suid"
    chmod 4755 "$T/suid"
    refused 126 'is setuid' -- "$T/suid"
    chmod 755 "$T/suid"
    chgrp nogroup "$T/suid"
    chmod 2755 "$T/suid"
    refused 126 'is setgid' -- "$T/suid"
    chmod 755 "$T" "$T/good" "$T/suid"
    try setpriv --reuid=nobody --regid=nogroup --clear-groups env MTLSWRAP_STATE="$T/nobody" "$M" doctor "$T/suid"
    equal 'no longer setuid' 3 "$S"
    setcap cap_net_bind_service+ep "$T/suid" 2>"$T/err" || true
    if [ -n "$(getcap "$T/suid" 2>"$T/err")" ]; then
        try setpriv --reuid=nobody --regid=nogroup --clear-groups "$M" doctor "$T/suid"
        equal 'file capabilities' 126 "$S"
        has "$T/out" 'has file capabilities'
        case_ok capabilities
    fi
    case_ok setuid
fi

with odd -- sh -c 'echo ran'
equal status 126 "$S"
has "$T/err" 'the loader does not take .*libmtlswrap.so: .*OS ABI invalid'
[ ! -s "$T/out" ] || fail 'the program ran without the object'
case_ok the-loader-is-asked

# Loads, but gives no proof: closing the descriptor gives it away.
with silent -- python3 -c 'import os, time
os.closerange(3, 1000)
time.sleep(30)'
equal status 137 "$S"
has "$T/err" 'python3 started without libmtlswrap.so; its traffic would be plaintext'
with silent -- true
wait_until 10 grep -q 'true started without libmtlswrap.so' "$T/err"
case_ok no-proof-no-life

[ -e "$BUILD/libmtlswrap.so" ] || fail 'libmtlswrap.so is not built'
try "$M" run -- sh -c 'echo "${MTLSWRAP_PROOF-gone}|$LD_PRELOAD"'
equal 'the real object' "0 gone|$BUILD/libmtlswrap.so" "$S $(cat "$T/out")"
hasnt "$T/err" 'started without'
mkdir -p "$T/opt/bin" "$T/opt/lib/mtlswrap"
cp "$M" "$T/opt/bin/"
cp "$T/good/libmtlswrap.so" "$T/opt/lib/mtlswrap/"
try "$T/opt/bin/mtlswrap" run -- sh -c 'echo "$LD_PRELOAD"'
equal installed "$T/opt/lib/mtlswrap/libmtlswrap.so" "$(cat "$T/out")"
mv "$T/opt/lib/mtlswrap/libmtlswrap.so" "$T/opt/lib/"
try "$T/opt/bin/mtlswrap" run -- sh -c 'echo "$LD_PRELOAD"'
equal 'installed in lib' "$T/opt/lib/libmtlswrap.so" "$(cat "$T/out")"
rm "$T/opt/lib/libmtlswrap.so"
try "$T/opt/bin/mtlswrap" run -- true
equal 'status without the object' 125 "$S"
case_ok finds-the-object
