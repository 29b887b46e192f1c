# Client of the echo servers, with buffered print and sysread in turn. client.pl ADDRESS PORT MARKER
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
my $peer = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1], Timeout => 20) or die $!;
for my $body ($ARGV[2], 'x', join('', map { chr(32 + $_ % 90) } 1 .. 200000)) {
    print $peer length($body), "\n", $body;
    $peer->flush;
    my $back = '';
    while (length($back) < length $body) {
        IO::Select->new($peer)->can_read(20) or die 'nothing came';
        sysread($peer, $back, 65536, length $back) or die $!;
    }
    $back eq $body or die 'something else came back';
}
print "all came back\n";
