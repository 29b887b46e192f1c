#!/bin/bash
# Programs that are hard to be a guest in: a chrooted daemon without root, one behind a seccomp filter, one that closes all descriptors,
# plugins that bind deeply, children, signals, a descriptor at the limit, other preloaded objects in either order, the address
# sanitizer, an empty environment, an object that is named by a relative path.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

guest=$(program guest)
gcc -std=c11 -D_GNU_SOURCE -DPLUGIN -shared -fPIC -o "$T/plugin.so" "$PROGS/guest.c"
gcc -std=c11 -D_GNU_SOURCE -g -fsanitize=address -o "$T/guest-asan" "$PROGS/guest.c"
mkdir "$T/empty"

asks() { # WHAT COMMAND…
    equal "$1" "$MARK" "$(client "${@:2}")"
}

scenario() {
    serve filter "$guest" filter "$IP" 7001
    wait_listen filter 7001
    for _ in 1 2 3; do asks filter "$guest" tidy "$IP" 7001 "$MARK"; done
    stop filter
    if [ "$(id -u)" -eq 0 ]; then
        serve jail "$guest" jail "$IP" 7002 "$T/empty"
        wait_listen jail 7002
        for _ in 1 2 3; do asks jail "$guest" tidy "$IP" 7002 "$MARK"; done
        stop jail
    fi
    serve echo python3 "$PROGS/py_raw.py" "$IP" 7003
    wait_listen echo 7003
    asks plugin "$guest" plugin "$IP" 7003 "$MARK" "$T/plugin.so"
    equal starter "$(printf '%s\nagain' "$MARK")" "$(client "$guest" starter "$IP" 7003 "$MARK")"
    equal closefrom "$(printf '%s\n%s' "$MARK" "$MARK")" "$(client "$guest" closefrom "$IP" 7003 "$MARK")"
    asks signals "$guest" signals "$IP" 7003 "$MARK"
    asks limit "$guest" limit "$IP" 7003 "$MARK"
    # The hard limit that daemons and containers are given, where this machine lets us raise it.
    if prlimit --nofile=1048576:1048576 true 2>/dev/null; then
        asks million prlimit --nofile=1048576:1048576 "$guest" limit "$IP" 7003 "$MARK"
    else
        say "this machine allows $(ulimit -Hn) descriptors at most"
    fi
    asks sanitizer env ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0 "$T/guest-asan" tidy "$IP" 7003 "$MARK"
    # A shell that starts its child with nothing in the environment.
    asks environment bash -c "env -i $guest tidy $IP 7003 $MARK"
    asks environment python3 -c "import subprocess; subprocess.run(['$guest', 'tidy', '$IP', '7003', '$MARK'], env={}, check=True)"
    other_objects
    another_directory
    stop echo
    hasnt "$T/log/echo" Traceback
}

# Allocators that are preloaded too, before us and behind us.
other_objects() {
    local object words
    for object in /usr/lib/*/libjemalloc.so.2 /usr/lib/*/libtcmalloc_minimal.so.4; do
        [ -e "$object" ] || fail "$object is not installed"
        mapfile -t words < <(wrapping "$CLIENT")
        words=("${words[@]//LD_PRELOAD=/LD_PRELOAD=$object:}")
        equal "behind $object" "$MARK" "$(run - env "${words[@]}" "$guest" starter "$IP" 7003 "$MARK" | head -n 1)"
        words=("${words[@]//"$object:"/}")
        words=("${words[@]/%libmtlswrap.so/libmtlswrap.so:$object}")
        equal "before $object" "$MARK" "$(run - env "${words[@]}" "$guest" starter "$IP" 7003 "$MARK" | head -n 1)"
    done
}

# An object that was named by a path that does not hold where the program goes: the engine and the children load all the same.
another_directory() {
    local words
    ln -sfn "$BUILD" "$T/here"
    mapfile -t words < <(wrapping "$CLIENT")
    words=("${words[@]/LD_PRELOAD=*/LD_PRELOAD=here/libmtlswrap.so}")
    # shellcheck disable=SC2016 # for the shell that is started
    equal 'another directory' "$MARK" "$(cd "$T" && run - env "${words[@]}" bash -c '
        cd /
        exec 3<>"/dev/tcp/$1/$2"
        echo "$3" >&3
        head -n 1 <&3' - "$IP" 7003 "$MARK" 2>"$T/loader")"
}
three_ways scenario
