#!/bin/bash
# Threads with 16, 32 and 64 KiB of stack and a signal's handler on a small one do all that can be done with a connection: the
# first handshake of a process, a changed table, bulk, fork, the end.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
small=$(program small_stacks)
WAY=plain
equal plain finished "$(run - "$small" "$IP" 7000 "$T/mesh.ini" 2>"$T/log/plain")"
WAY=strict
equal wrapped finished "$(run app/server "$small" "$IP" 7000 "$T/mesh.ini" 2>"$T/log/wrapped")"
has "$T/log/mtls.strict.app.server" 'TLS 1.3'
has "$T/log/mtls.strict.app.server" 'the changed policy table is in force'
say "$(cat "$T/log/wrapped")"
