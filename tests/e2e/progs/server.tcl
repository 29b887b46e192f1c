# Echo server, "LENGTH\n" and bytes: one event loop, non-blocking channels. server.tcl ADDRESS PORT
proc accepted {channel address port} {
    fconfigure $channel -translation binary -blocking 0 -buffering full
    fileevent $channel readable [list size $channel]
}
proc size {channel} {
    if {[gets $channel line] >= 0} {
        fileevent $channel readable [list body $channel $line]
        body $channel $line
    } elseif {[eof $channel]} {
        close $channel
    }
}
proc body {channel left} {
    set data [read $channel $left]
    puts -nonewline $channel $data
    flush $channel
    incr left -[string length $data]
    if {$left == 0} {
        fileevent $channel readable [list size $channel]
        size $channel
    } elseif {[eof $channel]} {
        close $channel
    } else {
        fileevent $channel readable [list body $channel $left]
    }
}
socket -server accepted -myaddr [lindex $argv 0] [lindex $argv 1]
vwait forever
