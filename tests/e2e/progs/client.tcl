# Client of the echo servers: blocking, then asynchronous connect with an event. client.tcl ADDRESS PORT MARKER
lassign $argv address port marker
set channel [socket $address $port]
fconfigure $channel -translation binary -buffering full
foreach body [list $marker x [string repeat abcdefghij 20000]] {
    puts -nonewline $channel "[string length $body]\n$body"
    flush $channel
    if {[read $channel [string length $body]] ne $body} { error "something else came back" }
}
close $channel
set channel [socket -async $address $port]
fconfigure $channel -translation binary -blocking 0 -buffering none
fileevent $channel writable {
    fileevent $channel writable {}
    puts -nonewline $channel "3\nabc"
}
set came ""
fileevent $channel readable {
    append came [read $channel]
    if {[string length $came] >= 3 || [eof $channel]} { set finished 1 }
}
after 20000 {set finished 0}
vwait finished
if {$came ne "abc"} { error "came: $came" }
puts "all came back"
