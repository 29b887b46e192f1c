#!/usr/bin/env bash
# `mtlswrap doctor`: what it says about programs of each kind, and the statuses that scripts rely on.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
M=$BUILD/mtlswrap
try() {
    S=0
    timeout $LIMIT "$@" >"$T/out" 2>"$T/err" </dev/null || S=$?
}
case_ok() { say "ok $1"; }
doctor() { # STATUS PATTERN PROGRAM
    try "$M" doctor "$3"
    equal "status for $3" "$1" "$S"
    has "$T/out" "$2"
}
build() { gcc -o "$T/$1" -x c - "${@:2}"; }

echo '#include <sys/socket.h>
int main(void) { return socket(AF_INET, SOCK_STREAM, 0) < 0; }' | build talks
echo 'int main(void) { return 0; }' | build quiet
echo 'int main(void) { return 0; }' | build static -static
echo '#include <unistd.h>
int main(void) { return syscall(39) < 0; }' | build raw
echo '#include <unistd.h>
int main(int c, char **v) { return c > 1 ? execv(v[1], v + 1) : 0; }' | build starter
doctor 0 'talks: can be wrapped' "$T/talks"
doctor 3 'nothing to wrap' "$T/quiet"
doctor 126 'statically linked' "$T/static"
doctor 3 'raw imports syscall\(2\)' "$T/raw"
doctor 0 'programs that it starts' "$T/starter"
doctor 127 'not found' "$T/no-such"
doctor 126 'Permission denied' /etc/passwd
case_ok programs

# The socket call sits in a library; the library is found by $ORIGIN, also through a symbolic link.
mkdir "$T/lib" "$T/bin"
echo '#include <sys/socket.h>
int talk(void); int talk(void) { return socket(AF_INET, SOCK_STREAM, 0); }' >"$T/talk.c"
gcc -shared -fPIC -o "$T/lib/libtalk.so" "$T/talk.c"
# shellcheck disable=SC2016
echo 'int talk(void); int main(void) { return talk() < 0; }' |
    gcc -o "$T/bin/through" -x c - -L"$T/lib" -ltalk '-Wl,-rpath,$ORIGIN/../lib'
doctor 0 'can be wrapped' "$T/bin/through"
ln -s bin/through "$T/through"
doctor 0 'can be wrapped' "$T/through"
rm "$T/lib/libtalk.so"
doctor 3 'libtalk.so is not found' "$T/bin/through"
case_ok libraries

echo 'int io_uring_queue_init(void); int io_uring_queue_init(void) { return 0; }' >"$T/uring.c"
gcc -shared -fPIC -o "$T/lib/liburing.so.2" "$T/uring.c"
echo '#include <sys/socket.h>
int io_uring_queue_init(void);
int main(void) { return io_uring_queue_init() + socket(AF_INET, SOCK_STREAM, 0) < 0; }' |
    gcc -o "$T/uring" -x c - -L"$T/lib" -l:liburing.so.2 "-Wl,-rpath,$T/lib"
doctor 0 'warning: uring uses io_uring' "$T/uring"
case_ok io_uring

# An object that hooks nothing, and a program that moves bytes by a rarer call.
echo 'int nothing_hooked; ' >"$T/hookless.c"
gcc -shared -fPIC -o "$T/lib/hookless.so" "$T/hookless.c"
echo '#include <sys/socket.h>
int main(void) { return recvmmsg(socket(AF_INET, SOCK_STREAM, 0), 0, 0, 0, 0) < 0; }' |
    gcc -D_GNU_SOURCE -o "$T/mover" -x c -
MTLSWRAP_LIB=$T/lib/hookless.so doctor 0 'recvmmsg\(\) is imported and not hooked' "$T/mover"
doctor 0 'can be wrapped' "$T/mover"
hasnt "$T/out" 'not hooked'
case_ok hooks

# What the Go toolchain leaves in its binaries is a note; a dynamic binary with it is Go all the same.
cat >"$T/note.c" <<'C'
#include <sys/socket.h>
__attribute__((section(".note.go.buildid"), used, aligned(4))) static const struct {
    unsigned n, d, t;
    char name[4], id[4];
} note = {4, 4, 4, "Go\0", "id"};
int main(void) { return socket(AF_INET, SOCK_STREAM, 0) < 0; }
C
gcc -o "$T/go" "$T/note.c"
doctor 126 'is a Go binary' "$T/go"
gcc -static -o "$T/go-static" "$T/note.c"
doctor 126 'is a static Go binary' "$T/go-static"
case_ok go

cp "$T/talks" "$T/other"
loader=$(readelf -l "$T/talks" | sed -n 's/.*interpreter: \(.*\)]/\1/p')
# The same length, another name: as a program for another libc has it.
python3 - "$T/other" "$loader" <<'PY'
import os, sys
data = open(sys.argv[1], "rb").read()
old = sys.argv[2].encode()
name = os.path.basename(old)
open(sys.argv[1], "wb").write(data.replace(old, old[:-len(name)] + b"m" * len(name), 1))
PY
doctor 126 'is made for ld-' "$T/other"
case_ok loader

printf '#!%s\n' "$T/static" >"$T/script"
chmod +x "$T/script"
doctor 126 'static is statically linked' "$T/script"
cp "$T/static" "$T/bin/tool-of-this-test"
printf '#!/usr/bin/env tool-of-this-test\n' >"$T/script"
PATH=$T/bin:$PATH doctor 126 'tool-of-this-test is statically linked' "$T/script"
printf '#!%s\n' "$T/script" >"$T/script"
doctor 126 'too many interpreters' "$T/script"
case_ok scripts

try "$M" doctor --json "$T/static"
equal status 126 "$S"
python3 - "$T/out" "$T/static" <<'PY'
import json, sys
got = json.load(open(sys.argv[1]))
assert got["verdict"] == "cannot be wrapped" and got["wrappable"] is False, got
assert got["path"] == got["image"] == sys.argv[2] and "statically" in got["reason"], got
PY
# A name that JSON has to escape, and one that is no UTF-8.
odd="$T/"$'a "b"\\ \x01 \xff c'
cp "$T/talks" "$odd"
try "$M" doctor --json "$odd"
equal status 0 "$S"
python3 - "$T/out" <<'PY'
import json, sys
got = json.load(open(sys.argv[1]))
assert got["program"].endswith('a "b"\\ \x01 \ufffd c'), got
assert got["wrappable"] is True and got["reason"] is None, got
PY
case_ok json
