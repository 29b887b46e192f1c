#!/bin/bash
# Line by line over the buffered files that languages put on sockets: perl's handles and dup onto STDIN and STDOUT,
# python's makefile and dup2, and a C program under AddressSanitizer.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$T/server.py" <<'END_OF_SERVER'
import socket, sys
server = socket.create_server((sys.argv[1], 7000))
while True:
    connection, _ = server.accept()
    with connection, connection.makefile("rw", newline="\n") as lines:
        try:
            lines.write("welcome\n")
            lines.flush()
            for line in lines:
                lines.write("<" + line.rstrip("\n") + ">\n")
                lines.flush()
        except ConnectionError:
            pass
END_OF_SERVER
cat >"$T/client.pl" <<'END_OF_CLIENT'
use strict;
use IO::Socket::INET;
my ($address, $mark) = @ARGV;
my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 7000) or die;
print scalar <$s>;
print $s "$mark\n";
$s->flush;
print scalar <$s>;
open(my $out, '>&', \*STDOUT) or die;
open(STDOUT, '>&', $s) or die;
open(STDIN, '<&', $s) or die;
$| = 1;
print "through STDOUT\n";
print $out scalar <STDIN>;
system("echo from the shell");
print $out scalar <STDIN>;
END_OF_CLIENT
cat >"$T/client.py" <<'END_OF_CLIENT'
import os, socket, sys
address, mark = sys.argv[1:]
s = socket.create_connection((address, 7000))
kept = os.dup(1)
with s.makefile("r") as lines, s.makefile("w") as out:
    print(lines.readline(), end="")
    print(mark, file=out, flush=True)
    print(lines.readline(), end="", flush=True)
    os.dup2(s.fileno(), 1)
    print("through descriptor 1", flush=True)
    os.dup2(kept, 1)
    print(lines.readline(), end="")
END_OF_CLIENT
cat >"$T/client.c" <<'END_OF_CLIENT'
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7000)};
    char *line = NULL;
    size_t room = 0;
    if (argc != 3 || !inet_aton(argv[1], &a.sin_addr))
        return 2;
    int fd = socket(AF_INET, SOCK_STREAM, 0), kept = dup(1);
    if (connect(fd, (struct sockaddr *)&a, sizeof a))
        return 1;
    FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
    getline(&line, &room, in);
    fputs(line, stdout);
    fprintf(out, "%s\n", argv[2]);
    fflush(out);
    getline(&line, &room, in);
    fputs(line, stdout);
    fflush(stdout);
    dup2(fd, 1);
    puts("through stdout");
    fflush(stdout);
    dup2(kept, 1);
    getline(&line, &room, in);
    fputs(line, stdout);
    free(line);
    fclose(in);
    return fclose(out) ? 1 : 0;
}
END_OF_CLIENT
gcc -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=address -o "$T/asan" "$T/client.c"

expected() { printf 'welcome\n<%s>\n' "$MARK"; printf '<%s>\n' "$@"; }

scenario() {
    serve lines python3 "$T/server.py" "$IP"
    wait_listen lines 7000
    equal perl "$(expected 'through STDOUT' 'from the shell')" "$(client perl "$T/client.pl" "$IP" "$MARK")"
    equal python "$(expected 'through descriptor 1')" "$(client python3 "$T/client.py" "$IP" "$MARK")"
    if [ "$CLIENT" = - ]; then
        equal 'AddressSanitizer' "$(expected 'through stdout')" "$(client "$T/asan" "$IP" "$MARK")"
    else # its runtime wants to be the first that is loaded
        equal 'AddressSanitizer' "$(expected 'through stdout')" "$(client env \
            "LD_PRELOAD=$(gcc -print-file-name=libasan.so) $BUILD/libmtlswrap.so" "$T/asan" "$IP" "$MARK")"
    fi
    stop lines
    hasnt "$T/log/lines" Traceback
}
three_ways scenario
