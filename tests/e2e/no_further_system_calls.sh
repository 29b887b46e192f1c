#!/bin/bash
# On descriptors that are not managed a wrapped program makes exactly the system calls that it makes alone: between a
# small and a large job the counts of cat, dd and ls grow alike, and no write, ioctl or getdents is added at all.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
head -c 4096 /dev/zero >"$T/small"
head -c 20000000 /dev/zero >"$T/large"
mkdir "$T/few" "$T/many"
touch "$T/few/1" "$T"/many/{1..300}

counts() { # WORKLOAD FILE COMMAND…: "CALL COUNT" per line
    local out=$2 words
    mapfile -t words < <(wrapping "$1")
    shift 2
    timeout 60 strace -f -c -U name,calls -o "$out" -E LC_ALL=C "${words[@]/#/-E}" "$@" >/dev/null 2>>"$T/log/stderr"
    sed -i '1,2d; /^-/d; /total$/d' "$out"
    sort -o "$out" "$out"
}

growth() { # WORKLOAD SMALL-JOB… -- LARGE-JOB…: how much each count grows
    local workload=$1 small=()
    shift
    while [ "$1" != -- ]; do small+=("$1") && shift; done
    shift
    counts "$workload" "$T/first" "${small[@]}"
    counts "$workload" "$T/second" "$@"
    command join -a 1 -a 2 -e 0 -o 0,1.2,2.2 "$T/first" "$T/second" | awk '$2 != $3 {print $1, $3 - $2}'
}

same() { # SMALL-JOB… -- LARGE-JOB…
    growth - "$@" >"$T/alone"
    grep -E '^(write|ioctl|getdents64|lseek|fadvise64|statx) ' "$T/second" >"$T/calls-alone" || true
    [ -s "$T/alone" ] || fail "the large job is no larger: $*"
    growth app/client "$@" >"$T/wrapped"
    grep -E '^(write|ioctl|getdents64|lseek|fadvise64|statx) ' "$T/second" >"$T/calls-wrapped" || true
    equal "growth, $1" "$(cat "$T/alone")" "$(cat "$T/wrapped")"
    equal "calls, $1" "$(cat "$T/calls-alone")" "$(cat "$T/calls-wrapped")"
}

same cat "$T/small" -- cat "$T/large"
same dd if=/dev/zero of=/dev/null bs=512 count=1 -- dd if=/dev/zero of=/dev/null bs=512 count=5000
same ls -l "$T/few" -- ls -l "$T/many"
same head -c 10 "$T/small" -- head -c 10000000 "$T/large"
