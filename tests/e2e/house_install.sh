#!/usr/bin/env bash
# limit: 600
# `make install` into a DESTDIR, the installed command doing its work from there, `make uninstall` leaving
# nothing; and the objects ask the loader for nothing but libc.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
root=$T/root

house() { make -C "$TOP" --no-print-directory BUILD="$BUILD" PREFIX=/opt/m "$@" >>"$T/log/make" 2>&1; }
house DESTDIR="$root" install
expected='bin/mtlswrap
lib/mtlswrap/libmtlswrap-engine.so
lib/mtlswrap/libmtlswrap.so
share/doc/mtlswrap/CHANGELOG.md
share/doc/mtlswrap/LICENSE
share/doc/mtlswrap/README.md
share/man/man1/mtlswrap.1
share/man/man5/mtlswrap.ini.5'
equal 'installed files' "$expected" "$(cd "$root/opt/m" && find . -type f ! -path '*/examples/*' | sed 's|^\./||' | sort)"
for example in "$TOP"/conf/*.ini; do
    cmp "$example" "$root/opt/m/share/doc/mtlswrap/examples/$(basename "$example")"
done
equal 'modes of what is no program' '' "$(find "$root" -type f -perm /111 ! -name mtlswrap ! -path '*/lib/*')"
for page in "$root"/opt/m/share/man/man?/*; do
    if command -v man >/dev/null; then
        equal "complaints about $(basename "$page")" '' "$(man --warnings -E UTF-8 -l -Tutf8 "$page" 2>&1 >/dev/null)"
    fi
done

# For real, with nothing of the build directory: the two terminals of the README.
M=$root/opt/m/bin/mtlswrap
export MTLSWRAP_STATE=$T/state
unset MTLSWRAP_LIB
port=18743
mkdir "$T/www"
printf '%s\n' "$MARK" >"$T/www/page"
start server - "$M" run -- python3 -m http.server -b "$IP" -d "$T/www" $port
wait_listen server $port
equal 'the page' "$MARK" "$(timeout 60 "$M" run -- curl -sS --fail "http://$IP:$port/page" 2>"$T/log/curl")"
if timeout 60 curl -sS -m 20 --fail "http://$IP:$port/page" >"$T/plain" 2>>"$T/log/curl"; then fail 'a plain client was served'; fi
hasnt "$T/plain" "$MARK"
grep -q "$root/opt/m/lib/mtlswrap/libmtlswrap.so" "/proc/${PIDS[server]}/maps" || fail 'the server runs another object'
grep -q "$root/opt/m/lib/mtlswrap/libmtlswrap-engine.so" "/proc/${PIDS[server]}/maps" || fail 'the server runs another engine'
stop server

house DESTDIR="$root" uninstall
equal 'left after uninstall' '' "$(find "$root" -type f)"
has <(make -C "$TOP" -s help) '^install +install under DESTDIR/PREFIX$'
