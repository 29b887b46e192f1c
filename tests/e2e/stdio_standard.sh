#!/bin/bash
# The standard streams of C and of C++ on a connection and back again, with bytes waiting in their buffers, and with the
# addresses of the streams noted beforehand. The transcript must be what it is on plain TCP.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

compile() { # NAME FLAG…
    g++ -std=c++17 -O1 -g -Wall -Wextra -Werror "${@:2}" -o "$T/$1" "$PROGS/stdio_standard.cpp"
}
compile dynamic
compile static_cxx -static-libstdc++ -static-libgcc
run - "$T/dynamic" "$IP" "$MARK" "$T/file" >"$T/expected"
run - "$T/dynamic" "$IP" "$MARK" "$T/file" unsynced >>"$T/expected"
grep -qx end "$T/expected" || fail 'the transcript has no end'
hasnt "$T/expected" WRONG

scenario() {
    for program in dynamic static_cxx; do
        run "$SERVER" "$T/$program" "$IP" "$MARK" "$T/file" >"$T/$WAY/seen" || fail "exit status $?"
        run "$SERVER" "$T/$program" "$IP" "$MARK" "$T/file" unsynced >>"$T/$WAY/seen" || fail "exit status $?"
        diff "$T/expected" "$T/$WAY/seen" >&2 || fail "the transcripts of $program differ"
    done
}
three_ways scenario strict disable
