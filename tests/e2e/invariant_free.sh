#!/bin/bash
# I5: what is not managed costs next to nothing. Counted, not timed: in single steps, a call on any descriptor that is no
# business of a policy makes exactly its own system call and a few instructions more, also beside a protected connection;
# a program that opens no socket starts with little more work, no thread, no open descriptor, and no file but the table.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# Instructions that a hook may add to a call (to one with a list of messages; to one that makes a descriptor, or looks
# through a set of them), and the whole object to the start of a program. Whoever takes a lock or looks through a list
# needs more.
CALL=60
MESSAGE=90
DESCRIPTORS=200
START=1000000

steps=$(program inv_steps)
free=$(program inv_free)
mesh DISABLE ISTIO_MUTUAL - <<END
[Policy app/server]
targets = server
mtls.mode = STRICT
END

counted() { # NAME WORKLOAD ARGUMENT…: call/instructions/system calls, one line per call
    local name=$1
    shift
    run "$1" "$steps" "$free" "${@:2}" 3>"$T/$name.steps" 4>"$T/$name.calls"
    [ "$(wc -l <"$T/$name.steps")" -gt 40 ] || fail "$name: nothing was counted"
    paste -d/ "$T/$name.calls" "$T/$name.steps" | sed 's|/\([0-9]*\) |/\1/|' >"$T/log/$name"
}

compare() { # NAME PLAIN: two programs call by call
    equal "$1: system calls" "$(cut -d/ -f1,3 "$T/log/$2")" "$(cut -d/ -f1,3 "$T/log/$1")"
    paste -d/ "$T/log/$2" "$T/log/$1" | awk -F/ -v call=$CALL -v message=$MESSAGE -v descriptors=$DESCRIPTORS '
        { limit = /^dup|select/ ? descriptors : /^(send|recv)m/ ? message : call }
        $5 - $2 > limit { print $1 ": " $5 - $2 }' >"$T/dear"
    [ ! -s "$T/dear" ] || fail "$1: instructions more than alone: $(tr '\n' ' ' <"$T/dear")"
}
counted plain - alone
counted wrapped app/client alone
compare wrapped plain
start server app/server "$(program select_server)" "$IP" 7000
wait_listen server 7000
counted beside app/client beside "$IP" 7000
counted threaded - threaded
compare beside threaded
has "$T/log/mtls.none.app.client" "$IP:7000: TLS"

# The start of a program without sockets.
whole() { # WORKLOAD
    run "$1" "$steps" -w cat /dev/null 3>"$T/whole"
    cut -d' ' -f1 "$T/whole"
}
plain=$(whole -)
wrapped=$(whole app/client)
[ "$plain" -gt 10000 ] || fail "nothing was counted: $plain"
[ $((wrapped - plain)) -lt $START ] || fail "a start takes $((wrapped - plain)) instructions more"

# What it has then: descriptors, address space and memory in KiB, threads.
has_what() { # WORKLOAD
    run "$1" python3 -c 'import os
print(len(os.listdir("/proc/self/fd")), *[l.split()[1] for l in open("/proc/self/status") if l[:6] in ("VmSize", "VmRSS:", "Thread")])'
}
read -r fds size rss threads < <(has_what -)
read -r fds2 size2 rss2 threads2 < <(has_what app/client)
equal descriptors "$fds" "$fds2"
equal threads "$threads" "$threads2"
[ $((size2 - size)) -lt 4096 ] || fail "$((size2 - size)) KiB of address space more"
[ $((rss2 - rss)) -lt 2048 ] || fail "$((rss2 - rss)) KiB of memory more"

opened() { # WORKLOAD
    local words
    mapfile -t words < <(wrapping "$1")
    strace -f -e trace=open,openat,creat,socket,memfd_create,clone,clone3,fork,vfork -o "$T/trace" \
        "${words[@]/#/-E}" cat /dev/null
    sed -nE 's/^[0-9]+ +//; s/^(open|openat|creat)\([^"]*("[^"]*").*/\2/p; /^(socket|memfd|clone|fork|vfork)/p' \
        "$T/trace" | sort
}
opened - >"$T/plain"
opened app/client >"$T/wrapped"
equal 'opened at the start' "$(printf '%s\n' "\"$BUILD/libmtlswrap.so\"" "\"$T/mesh.ini\"" | sort)" \
    "$(comm -13 "$T/plain" "$T/wrapped")"
