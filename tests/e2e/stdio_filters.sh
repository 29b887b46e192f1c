#!/bin/bash
# Ordinary filters as servers: a connection is their standard input, output and error. Each must answer as it does at the
# end of a pipe, to its last byte.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$T/filter.cpp" <<'END_OF_FILTER'
#include <cstdio>
#include <iostream>
#include <string>
int main() {
    std::string line;
    int count = 0;
    while (std::getline(std::cin, line)) {
        std::cout << ++count << " " << line << "\n";
        printf("and printf\n");
    }
    std::cerr << "lines: " << count << std::endl;
}
END_OF_FILTER
cat >"$T/wide.c" <<'END_OF_FILTER'
#include <stdio.h>
int main(void) {
    int c;
    char line[20];
    if (!fgets(line, sizeof line, stdin))
        return 1;
    fputs(line, stdout);
    while ((c = getchar_unlocked()) != EOF)
        putchar_unlocked(c == '\n' ? '|' : c);
    fprintf(stderr, "%s", "to standard error");
    return 0;
}
END_OF_FILTER
g++ -O1 -o "$T/cpp" "$T/filter.cpp"
gcc -std=c11 -D_GNU_SOURCE -O2 -D_FORTIFY_SOURCE=2 -o "$T/unlocked" "$T/wide.c"
cat >"$T/server.py" <<'END_OF_SERVER'
import socket, subprocess, sys
server = socket.create_server((sys.argv[1], 7000))
while True:
    connection, _ = server.accept()
    with connection:
        size = connection.recv(1, socket.MSG_WAITALL)[0]
        command = connection.recv(size, socket.MSG_WAITALL).decode()
        subprocess.run(["/bin/sh", "-c", command], stdin=connection, stdout=connection, stderr=connection, cwd=sys.argv[2])
END_OF_SERVER
cat >"$T/client.py" <<'END_OF_CLIENT'
import socket, sys
address, command, text = sys.argv[1:]
with socket.create_connection((address, 7000)) as s:
    s.sendall(bytes([len(command)]) + command.encode() + open(text, "rb").read())
    s.shutdown(socket.SHUT_WR)
    while data := s.recv(65536):
        sys.stdout.buffer.write(data)
END_OF_CLIENT
{ echo "$MARK"; seq 1 3000; } >"$T/text"
filters=("exec ./cpp" "exec ./unlocked" "exec cat" "exec cat -n" "exec sort -rn" "exec tr 0-9 a-j" "exec sed '3,\$d'"
    "exec sed -u s/1/one/g" "sed -n 5p; echo rest" "exec awk '{ s += \$1 } END { print s; print NR > \"/dev/stderr\" }'"
    "exec perl -ne 'print scalar reverse \$_'" "exec grep -c 7" "exec wc" "exec md5sum" "gzip -c | gunzip -c"
    "exec python3 -c 'import sys; print(sum(1 for _ in sys.stdin)); print(1, file=sys.stderr)'")

scenario() {
    serve filters python3 "$T/server.py" "$IP" "$T"
    wait_listen filters 7000
    for filter in "${filters[@]}"; do
        (cd "$T" && sh -c "$filter" < <(cat text) >"$T/$WAY/expected" 2>&1)
        client python3 "$T/client.py" "$IP" "$filter" "$T/text" >"$T/$WAY/seen" || fail "$filter: exit status $?"
        cmp "$T/$WAY/expected" "$T/$WAY/seen" >&2 || fail "$filter answers otherwise: $(head -c 200 "$T/$WAY/seen")"
    done
    stop filters
    hasnt "$T/log/filters" Traceback
}
three_ways scenario
