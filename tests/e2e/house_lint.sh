#!/usr/bin/env bash
# limit: 600
# The house rules hold, and the lint really sees what it is there for: each kind of fault, put into a copy
# of the tree, is found.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

(cd "$TOP" && BUILD=$BUILD tests/lint/run) >"$T/log/lint" 2>&1 || fail "tests/lint/run has findings"
has "$T/log/lint" '^lint: 0 findings$'

copy=$T/copy
mkdir "$copy"
tar -C "$TOP" --exclude=.git --exclude=./build -cf - . | tar -C "$copy" -xf -

# CHECK PATTERN FILE LINE: a line more at the end of the file makes that check find something.
finds() {
    cp "$copy/$3" "$T/kept"
    printf '%s\n' "$4" >>"$copy/$3"
    if (cd "$copy" && BUILD=$BUILD tests/lint/run "$1") >"$T/log/found" 2>&1; then fail "$1 does not see: $4"; fi
    has "$T/log/found" "$2"
    cp "$T/kept" "$copy/$3"
}
finds format '^format: preload/log.c' preload/log.c 'int   a ;'
finds static '^cppcheck: preload/log.c.*nullPointer' preload/log.c 'int a(void) { int *p = 0; return *p; }'
finds scripts '^shellcheck: tests/demo/demo.sh' tests/demo/demo.sh 'fi'
finds exports '^hooks.def.*< gettimeofday' include/hooks.def 'HOOK(gettimeofday, int, (void *, void *))'
finds exports '^twice in hooks.def: recv$' include/hooks.def 'TWIN(recv)'
finds real_calls '^calls a hook.*preload/conn/slot.c (m|pthread_|open|close|mmap|ftr)' include/hooks.def "$(nm -u "$BUILD/obj/preload/conn/slot.o" | awk '$2 ~ /^(mmap64|mmap|close|open|pthread_mutex_lock)$/ { print "TWIN(" $2 ")"; exit }')"
finds real_calls '^dlsym outside' preload/conn/slot.c 'void *x(void) { return dlsym(0, "y"); }'
finds layers '^policy includes' preload/policy/policy.c '#include "conn.h"'
finds layers '^upper layer' preload/engine/record.c '#include "slot.h"'
finds layers '^upper layer' preload/tls/handshake.c '#include "hook.h"'
finds layers '^upper layer' preload/conn/conn.c '#include <openssl/ssl.h>'
finds layers '^upper layer' preload/hooks/receive.c '#include "record.h"'
finds words '^unsafe call' preload/log.c 'void x(char *a) { strcpy(a, "b"); }'
finds words '^unfinished' preload/log.c "/* TO""DO */"
finds words '^space at the end' README.md 'x '
