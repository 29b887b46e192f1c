# shellcheck shell=bash disable=SC2034
# What every end-to-end script starts with: a temporary directory, an address of its own, processes
# with bounded lives, certificates, a mesh table, a packet capture. Sourced, never run. No scenario
# lives here. A script ends at the first thing that is not as it should be.
#
# Variables a caller may set: BUILD, E2E_LOG (MTLSWRAP_LOG of wrapped programs, default info),
# E2E_WAYS (default "strict permissive disable"; "plain" runs a scenario without any wrapping), E2E_KEEP=1 (keep
# the temporary directory), E2E_SANITIZER (asan or tsan: what `make asan` or `make tsan` built below BUILD; a report
# fails the script).

set -euo pipefail
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=$(realpath -m "${BUILD:-$TOP/build}")
PROGS=$TOP/tests/e2e/progs
PATH=/usr/bin:/bin:/usr/sbin:/sbin # Debian's own programs, whatever else the caller prefers
export LC_ALL=C.UTF-8
unset LD_PRELOAD MTLSWRAP_CONFIG MTLSWRAP_WORKLOAD MTLSWRAP_LOG MTLSWRAP_LOG_FILE
T=$(mktemp -d "${TMPDIR:-/tmp}/e2e.XXXXXX")
chmod 755 "$T"
mkdir -m 1777 "$T/log" "$T/tmp"
export TMPDIR=$T/tmp # servers under test drop their privileges

# An address of this script alone: ports can be fixed and captures hold nothing else.
IP=127.$((64 + ($$ >> 16) % 64)).$(($$ >> 8 & 255)).$(($$ & 255))
MARK=marker-$$-in-the-clear
WAY=none      # which of the ways of three_ways is running
LIMIT=60      # seconds for one foreground command
RUNTIME=() # a sanitizer's, as words for env(1)
declare -A PIDS=()

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "FAILED ($WAY): $*"
    exit 1
}

# --- the end ---------------------------------------------------------------------------------

show() { # LOG: its end; of ours the lines that matter first
    [ -s "$1" ] || return
    say "--- ${1#"$T"/}"
    case $1 in
    */mtls.*) { grep -v ' info: ' "$1" | head -n 10 && tail -n 3 "$1"; } | cut -c-400 >&2 ;;
    */report.*) head -n 60 "$1" | cut -c-200 >&2 ;;
    *) tail -n 25 "$1" | cut -c-400 >&2 ;;
    esac
}

finish() {
    local status=$? name
    trap - EXIT INT TERM ERR
    set +e
    for name in "${!PIDS[@]}"; do stop "$name"; done
    if [ -n "${E2E_SANITIZER:-}" ] && ! reported_nothing; then status=1; fi
    if [ $status -ne 0 ]; then
        say "$(basename "$0"): exit status $status"
        for name in "$T"/log/*; do show "$name"; done
    fi
    if [ -n "${E2E_KEEP:-}" ]; then say "kept $T"; else rm -rf "$T"; fi
    exit $status
}
trap finish EXIT
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
trap 'fail interrupted' INT TERM
set -E

# --- what is expected ------------------------------------------------------------------------

equal() { # WHAT EXPECTED SEEN
    [ "$2" = "$3" ] || fail "$1: expected '$2', seen '$3'"
}

# A file holds a line that matches (extended regular expression).
has() { # FILE PATTERN
    grep -aEq -- "$2" "$1" || fail "no line of $(basename "$1") matches: $2"
}

hasnt() { # FILE PATTERN
    ! grep -aEq -- "$2" "$1" || fail "a line of $(basename "$1") matches: $2"
}

# Repeats a command until it succeeds; SECONDS at most.
wait_until() { # SECONDS COMMAND…
    local left=$(($1 * 20))
    shift
    until "$@"; do
        [ $((left -= 1)) -gt 0 ] || fail "waited in vain for: $*"
        sleep 0.05
    done
}

# --- sanitizers ------------------------------------------------------------------------------

# ASan's runtime insists on being the first object. ThreadSanitizer's stands behind our hooks, as in a program
# that was built with it: it sees no lock that is taken inside of its own poll. With a second thread it would not
# let a program go on in a forked child.
sanitizer() {
    local options=log_path=$T/log/report:exitcode=0
    ORDINARY=$BUILD
    BUILD=$BUILD/$E2E_SANITIZER
    cat >"$T/suppressions" <<-END
		# A thread's own memory of an object that was loaded late: the next thread on its stack frees the table.
		race:_dl_deallocate_tls
		# hiredis asks by a second connect whether the first is done; a descriptor is no memory.
		race:redisCheckConnectDone
	END
    local ours=$BUILD/libmtlswrap.so runtime
    runtime=$(gcc -print-file-name="lib$E2E_SANITIZER.so")
    [ "$E2E_SANITIZER" = tsan ] && ours+=" $runtime" || ours="$runtime $ours"
    RUNTIME=("LD_PRELOAD=$ours" "ASAN_OPTIONS=$options:detect_leaks=0"
        "UBSAN_OPTIONS=$options:print_stacktrace=1"
        "TSAN_OPTIONS=$options:suppressions=$T/suppressions:die_after_fork=0:report_signal_unsafe=0:history_size=4")
}
[ -z "${E2E_SANITIZER:-}" ] || sanitizer

# curl hangs under the runtime of either alone: it gets the ordinary build.
unsanitized() { # COMMAND…
    [ -n "${E2E_SANITIZER:-}" ] && [ "$(basename "$1")" = curl ]
}

# The programs themselves are none of ours to judge, and how they order their threads cannot be seen without
# their instructions: a report counts when one of our objects was at work, of two threads in both.
reported_nothing() {
    local log
    for log in "$T"/log/report.*; do
        [ -e "$log" ] || continue
        awk -v RS='={18,}\n' '{
            done = $0
            sub(/\n  (Location|Mutex|Thread|As if).*/, "", done)
            split(done, part, /\n  Previous /)
            if (part[1] ~ /libmtlswrap/ && (!part[2] || part[2] ~ /libmtlswrap/)) print "==================\n" $0
        }' "$log" >"$log.ours"
        rm "$log"
        [ -s "$log.ours" ] || rm "$log.ours"
    done
    ! compgen -G "$T/log/report.*" >/dev/null || { say "$E2E_SANITIZER has something to report" && return 1; }
}

# --- processes -------------------------------------------------------------------------------

# The environment that wraps a command, as words for env(1). Workload "-" means not at all.
wrapping() { # WORKLOAD
    [ "$1" = - ] && return 0
    printf '%s\n' "LD_PRELOAD=$BUILD/libmtlswrap.so" "${RUNTIME[@]}" "MTLSWRAP_CONFIG=$T/mesh.ini" \
        "MTLSWRAP_WORKLOAD=$1" "MTLSWRAP_LOG=${E2E_LOG:-info}" \
        "MTLSWRAP_LOG_FILE=$T/log/mtls.$WAY.${1//\//.}"
}

# Starts a command in a session of its own; its output goes to log/NAME.
start() { # NAME WORKLOAD COMMAND…
    local name=$1 workload=$2 words
    shift 2
    mapfile -t words < <(wrapping "$workload")
    setsid env "${words[@]}" "$@" >>"$T/log/$name" 2>&1 </dev/null &
    PIDS[$name]=$!
}

alive() { # NAME
    kill -0 "${PIDS[$1]}" 2>/dev/null
}

# Ends a process and its session: politely, then not. Waits until it is gone.
stop() { # NAME
    local pid=${PIDS[$1]:-} left=100
    [ -n "$pid" ] || return 0
    unset "PIDS[$1]"
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ $((left -= 1)) -gt 0 ]; do sleep 0.05; done
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# Waits for a started process to end by itself; its exit status is in STATUS.
join() { # NAME SECONDS
    local pid=${PIDS[$1]} left=$(($2 * 20))
    STATUS=0
    while kill -0 "$pid" 2>/dev/null; do
        [ $((left -= 1)) -gt 0 ] || fail "$1 did not end in $2 s"
        sleep 0.05
    done
    unset "PIDS[$1]"
    wait "$pid" || STATUS=$?
    kill -KILL -- "-$pid" 2>/dev/null || true # what it left in its session
}

# Runs a command in the foreground under a workload, LIMIT seconds at most.
run() { # WORKLOAD COMMAND…
    local words
    ! unsanitized "${@:2}" || local BUILD=$ORDINARY RUNTIME=()
    mapfile -t words < <(wrapping "$1")
    shift
    timeout -k 5 "$LIMIT" env "${words[@]}" "$@"
}

listening() { # PORT [ADDRESS], "*" for any
    ss -Hltn "src = ${2:-$IP}:$1" | grep -q .
}

wait_listen() { # NAME PORT [ADDRESS]
    local left=600
    until listening "$2" "${3:-$IP}"; do
        alive "$1" || fail "$1 ended before it listened on $2"
        [ $((left -= 1)) -gt 0 ] || fail "$1 does not listen on $2"
        sleep 0.05
    done
}

descriptors() { # NAME
    find "/proc/${PIDS[$1]}/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

# Compiles a program of progs/ into the temporary directory and prints where it is.
program() { # NAME [FURTHER-SOURCE-OR-LIBRARY…]
    local name=$1
    shift
    [ -x "$T/$name" ] ||
        gcc -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Werror -pthread -o "$T/$name" "$PROGS/$name.c" "$@"
    printf '%s\n' "$T/$name"
}

# --- certificates ----------------------------------------------------------------------------

# A CA in the directory given, made by the openssl command (an implementation that is not ours).
make_ca() { # DIRECTORY
    mkdir -p "$1"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /O=e2e \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$1/ca-key.pem" -out "$1/root-cert.pem" 2>/dev/null
}

# A leaf below CA-DIRECTORY: DIRECTORY gets key.pem, cert-chain.pem and root-cert.pem.
# VALIDITY is "valid" or "expired", KEY what openssl's -newkey takes.
make_leaf() { # CA-DIRECTORY DIRECTORY SUBJECT-ALT-NAMES [VALIDITY [KEY]]
    local from to key=(ec -pkeyopt ec_paramgen_curve:prime256v1)
    [ -z "${5:-}" ] || key=("$5")
    mkdir -p "$2"
    from=$(date -u -d '-2 days' +%y%m%d%H%M%SZ)
    to=$(date -u -d '+1 day' +%y%m%d%H%M%SZ)
    [ "${4:-valid}" = valid ] || to=$(date -u -d '-1 day' +%y%m%d%H%M%SZ)
    openssl req -newkey "${key[@]}" -nodes -subj / \
        -keyout "$2/key.pem" -out "$2/request.pem" 2>/dev/null
    : >"$2/index.txt"
    cat >"$2/ca.cnf" <<-END
		[ca]
		default_ca = e2e
		[e2e]
		database = $2/index.txt
		new_certs_dir = $2
		rand_serial = yes
		default_md = sha256
		policy = any
		x509_extensions = leaf
		[any]
		commonName = optional
		[leaf]
		basicConstraints = critical,CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = serverAuth,clientAuth
		subjectAltName = critical,$3
	END
    openssl ca -batch -config "$2/ca.cnf" -cert "$1/root-cert.pem" -keyfile "$1/ca-key.pem" \
        -in "$2/request.pem" -out "$2/cert-chain.pem" -startdate "$from" -enddate "$to" \
        -notext -preserveDN 2>/dev/null
    cp "$1/root-cert.pem" "$2/root-cert.pem"
    chmod a+r "$2"/*.pem # servers under test drop their privileges
}

spiffe() { # ACCOUNT
    printf 'URI:spiffe://cluster.local/ns/app/sa/%s' "$1"
}

# The usual identities: app/server and app/client under certs/, their CA beside it in ca/.
certificates() {
    [ -e "$T/ca" ] && return
    make_ca "$T/ca"
    make_leaf "$T/ca" "$T/certs/app/server" "$(spiffe server)"
    make_leaf "$T/ca" "$T/certs/app/client" "$(spiffe client)"
}

# --- the mesh table --------------------------------------------------------------------------

# mesh.ini: the service app/server lives at $IP; further lines from standard input if it is given.
mesh() { # INBOUND-MODE OUTBOUND-MODE [-]
    [ -e "$BUILD/libmtlswrap.so" ] || fail "$BUILD holds no libmtlswrap.so"
    certificates
    cat >"$T/mesh.ini" <<-END
		[Mesh]
		trustDomain = cluster.local
		certificates = $T/certs

		[MeshPolicy default]
		mtls.mode = $1

		[Service app/server]
		address = $IP
		serviceAccount = server

		[DestinationRule app/all]
		host = *.local
		tls.mode = $2
	END
    [ "${3:-}" != - ] || cat >>"$T/mesh.ini"
}

# --- the wire --------------------------------------------------------------------------------

capture_start() {
    local dump=(tcpdump)
    [ "$(id -u)" -eq 0 ] || dump=(sudo tcpdump)
    rm -f "$T/wire.pcap"
    : >"$T/log/tcpdump"
    start tcpdump - "${dump[@]}" -i lo -U -s 1024 -B 65536 -Z root --immediate-mode -w "$T/wire.pcap" "host $IP and tcp"
    wait_until 10 grep -q 'listening on' "$T/log/tcpdump"
}

capture_stop() {
    sleep 0.2 # the last packets are on their way from the kernel
    stop tcpdump
}

wire_has() { grep -aqF -- "$1" "$T/wire.pcap"; }

# How many directions of connections began with KIND (tls or plain) bytes.
wire_count() { # KIND
    python3 "$PROGS/wire.py" "$T/wire.pcap" >"$T/log/wire"
    sed -n "s/^$1 \([0-9]*\)\$/\1/p" "$T/log/wire"
}

# What was sent was protected, and something was sent.
wire_protected() {
    equal 'plain directions on the wire' 0 "$(wire_count plain)"
    [ "$(wire_count tls)" -gt 0 ] || fail "no TLS connection on the wire"
    ! wire_has "$MARK" || fail "the marker is on the wire in the clear"
}

wire_plain() {
    wire_has "$MARK" || fail "the marker is not on the wire"
    [ -z "${OWN_TLS:-}" ] || return 0 # the programs speak TLS of their own too
    equal 'TLS directions on the wire' 0 "$(wire_count tls)"
}

# --- the ways --------------------------------------------------------------------------------

# Starts a server or runs a client as the way of the moment says.
serve() { # NAME COMMAND…
    local name=$1
    shift
    start "$name" "$SERVER" "$@"
}
client() { run "$CLIENT" "$@"; }

# Runs a scenario under each way and looks at the wire. The scenario must send $MARK.
#   strict      both ends wrapped, mutual TLS
#   permissive  the server wrapped and PERMISSIVE, the client not wrapped
#   disable     both ends wrapped, rules say DISABLE
#   plain       nothing wrapped (the scenario itself is sound)
three_ways() { # FUNCTION [WAY…]
    local scenario=$1 name
    shift
    [ $# -gt 0 ] || set -- strict permissive disable
    # shellcheck disable=SC2086
    [ -z "${E2E_WAYS:-}" ] || set -- ${E2E_WAYS}
    for WAY; do
        SERVER=app/server CLIENT=app/client
        case $WAY in
        strict) mesh STRICT ISTIO_MUTUAL ;;
        permissive) mesh PERMISSIVE ISTIO_MUTUAL && CLIENT=- ;;
        disable) mesh DISABLE DISABLE ;;
        plain) SERVER=- CLIENT=- ;;
        *) fail "no such way: $WAY" ;;
        esac
        mkdir -p "$T/$WAY"
        chmod 1777 "$T/$WAY"
        capture_start
        "$scenario"
        capture_stop
        if [ "$WAY" = strict ]; then wire_protected; else wire_plain; fi
        for name in "${!PIDS[@]}"; do stop "$name"; done
        rm -f "$T/wire.pcap"
        say "$WAY: as it should be"
    done
    WAY=none
}
