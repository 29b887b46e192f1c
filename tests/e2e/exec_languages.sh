#!/bin/bash
# The JDK's way of starting programs (by a helper of its own, with an environment of its own) while a connection is open, and Perl's
# exec with a connection that the next program goes on with.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

cat >"$T/become.pl" <<'END'
use IO::Socket::INET;
$^F = 255; # nothing is close-on-exec
my ($address, $port, $marker) = @ARGV;
my $sock = IO::Socket::INET->new("$address:$port") or die;
my $fd = fileno($sock);
syswrite $sock, "before $marker\n";
print STDOUT scalar <$sock>;
$| = 1;
print STDOUT `echo by a child >&$fd; read reply <&$fd; echo \$reply`;
%ENV = ();
exec "/bin/bash", "-c", "echo after >&$fd; read -r reply <&$fd; echo \$reply";
END

scenario() {
    serve lines python3 "$PROGS/exec_leaks.py" serve "$IP" 7001 2
    wait_listen lines 7001
    equal java "$(for n in 0 1 2; do printf '%s\n0\n3\n' "$MARK $n"; done)" \
        "$(client java "$PROGS/exec_java.java" "$IP" 7001 "$MARK")"
    equal perl "$(printf '%s\n' "before $MARK" 'by a child' after)" "$(client perl "$T/become.pl" "$IP" 7001 "$MARK")"
    join lines 20
    equal ends "$(printf '3 lines, end\n3 lines, end')" "$(cat "$T/log/lines")"
    rm "$T/log/lines"
}
three_ways scenario plain strict permissive disable
