#!/bin/bash
# What the machine denies: room for the log, certificates that go away, address space, file sizes. A connection works or
# fails; no byte leaves in the clear, nothing crashes.
# limit: 300
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
mesh STRICT ISTIO_MUTUAL
WAY=strict E2E_LOG=info

# One client under a shell's words; 0: it delivered. An end by a signal is a crash.
deliver() { # WORDS
    local status=0
    run app/client bash -c "$1; exec $talk pour $IP 7000 100 close" >>"$T/log/client" 2>&1 || status=$?
    [ $status -lt 124 ] || fail "$1: ended with status $status"
    return $status
}

# The same with so much address space from before we are loaded: what the program sets itself is widened.
within() { # KILOBYTES
    local status=0 words
    mapfile -t words < <(wrapping app/client)
    timeout 60 prlimit --as=$(($1 * 1024)) env "${words[@]}" "$talk" pour "$IP" 7000 100 close \
        >>"$T/log/client" 2>&1 || status=$?
    case $status in 0 | 1 | 78 | 127) ;; *) fail "$1 KB: ended with status $status" ;; esac
    return $status
}

capture_start
start sink app/server "$talk" sink "$IP" 7000 1000
wait_listen sink 7000
deliver ':' || fail 'nothing works'
deliver 'export MTLSWRAP_LOG_FILE=/dev/full' || fail 'no room for the log'
deliver 'export MTLSWRAP_LOG_FILE=/nonexistent/folder/log' || fail 'no folder for the log'
deliver "export MTLSWRAP_LOG_FILE=$T" || fail 'a folder for a log'
deliver 'trap "" XFSZ; ulimit -f 0' || fail 'no file may grow'
equal 'connections' 5 "$(grep -c ' end$' "$T/log/sink")"

# The running server keeps what it has; a client that is started now fails.
mv "$T/certs/app" "$T/certs/away"
before=$(grep -c '^100 .* end$' "$T/log/sink")
if deliver ':'; then :; fi
equal 'connections without certificates' "$before" "$(grep -c '^100 .* end$' "$T/log/sink")"
mkdir -p "$T/certs/app"
cp -r "$T/certs/away/client" "$T/certs/app/"
deliver ':' || fail 'the server has lost the certificates that it had'
rm -rf "$T/certs/app"
mv "$T/certs/away" "$T/certs/app"

# From hardly enough for the program to plenty. Some of them must fail, or nothing was tried.
good=0 bad=0
for kilobytes in 6000 9000 12000 16000 20000 26000 34000 44000 56000 70000 90000 120000 200000 400000 1000000; do
    if within $kilobytes; then good=$((good + 1)); else bad=$((bad + 1)); fi
done
say "address space: $good delivered, $bad failed"
[ $good -gt 0 ] && [ $bad -gt 0 ] || fail 'the limits of address space decided nothing'
deliver ':' || fail 'the server does not go on'
capture_stop
equal 'plain directions on the wire' 0 "$(wire_count plain)"
