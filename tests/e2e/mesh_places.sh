#!/bin/bash
# Whose address a socket gets: wildcard binds and outgoing connections of workloads, by IPv4, IPv6 and IPv4 in IPv6, and everything
# that must stay as the program asked for it.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[ "${1:-}" = inside ] || exec unshare --net "$0" inside

ip link set lo up
ip address add 192.0.2.1/32 dev lo
for host in 1 2 9; do ip -6 address add "fd00::$host/128" dev lo nodad; done
cat >"$T/mesh.ini" <<END
[Mesh]
certificates = ./certs
[Service app/v4]
address = 127.1.0.1
[Service app/v6]
address = fd00::1
[Service app/both]
address = 127.1.0.2, fd00::2
[Service app/elsewhere]
address = 203.0.113.7, 2001:db8::7
[Service app/wide]
address = 192.0.2.1
END
place() { # WORKLOAD WORDS…
    local as=$1
    shift
    run "app/$as" python3 "$PROGS/mesh_places.py" "$@"
}
listens() { # EXPECTED WORKLOAD FAMILY ADDRESS PORT [HOW]
    local expected=$1 as=$2
    shift 2
    equal "$as listens on $*" "$expected" "$(place "$as" listen "$@")"
}
listens 127.1.0.1 v4 4 0.0.0.0 8000
listens ::ffff:127.1.0.1 v4 6 :: 8000
listens :: v4 6 :: 8000 only
listens fd00::1 v6 6 :: 8000
listens 0.0.0.0 v6 4 0.0.0.0 8000
listens 127.1.0.2 both 4 0.0.0.0 8000
listens fd00::2 both 6 :: 8000
listens fd00::2 both 6 :: 8000 only
listens 127.0.0.5 both 4 127.0.0.5 8000
listens 0.0.0.0 both 4 0.0.0.0 0
listens 0.0.0.0 elsewhere 4 0.0.0.0 8000
listens :: elsewhere 6 :: 8000
listens 192.0.2.1 wide 4 0.0.0.0 8000
listens 0.0.0.0 nobody 4 0.0.0.0 8000

start target - python3 "$PROGS/mesh_server.py" target :: 9000
wait_listen target 9000 '*'
calls() { # EXPECTED WORKLOAD FAMILY HOST [SOURCE]
    local expected=$1 as=$2 family=$3 host=$4
    shift 4
    equal "$as calls $host" "$expected" "$(place "$as" call "$family" "$host" 9000 "$@")"
}
calls 127.1.0.1 v4 4 127.1.0.2
calls ::ffff:127.1.0.1 v4 6 ::ffff:127.1.0.2
calls fd00::1 v6 6 fd00::2
calls 127.1.0.2 both 4 127.1.0.1
calls ::ffff:127.1.0.2 both 6 ::ffff:127.1.0.1
calls fd00::2 both 6 fd00::1
calls 127.9.9.9 both 4 127.1.0.1 127.9.9.9 # bound by the program
calls 127.0.0.1 both 4 127.0.0.1           # not in the table
calls ::1 both 6 ::1
calls ::1 v4 6 ::1
calls 192.0.2.1 both 4 192.0.2.1 # a loopback address reaches nobody else
calls 192.0.2.1 elsewhere 4 192.0.2.1
calls 192.0.2.1 wide 4 127.1.0.1
calls 127.0.0.1 wide 4 127.0.0.1
