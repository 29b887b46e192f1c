# Echo server, "LENGTH\n" and bytes: a process per connection. server.pl ADDRESS PORT
use strict;
use warnings;
use IO::Socket::INET;
$SIG{CHLD} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => $ARGV[1], Listen => 64, ReuseAddr => 1) or die $!;
while (1) {
    my $peer = $listener->accept or next;
    if (fork) { close $peer; next; }
    close $listener;
    while (my $size = <$peer>) {
        my $body = '';
        while (length($body) < $size) { read($peer, $body, $size - length $body, length $body) or die $!; }
        print $peer $body;
        $peer->flush;
    }
    exit 0;
}
