#!/bin/bash
# Threads that had connections, forked, or were cancelled leave neither memory nor mappings behind.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

mesh STRICT ISTIO_MUTUAL
leaks=$(program thread_leaks)
WAY=plain
equal plain finished "$(run - "$leaks" "$IP" 7000 2>"$T/log/plain")"
WAY=strict
equal wrapped finished "$(run app/server "$leaks" "$IP" 7000 2>"$T/log/wrapped")"
say "$(cat "$T/log/wrapped")"
