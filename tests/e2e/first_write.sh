#!/bin/bash
# I4: a blocking write that is larger than what is kept during a handshake takes everything, as on TCP: programs do not
# look at its count.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

talk=$(program talk)
cat >"$T/write.py" <<'END2'
import socket, sys
role, address, mark = sys.argv[1], (sys.argv[2], 7000), sys.argv[3].encode()
if role == "server":
    sock = socket.create_server(address).accept()[0]
else:
    sock = socket.create_connection(address)
print(sock.send(mark + bytes(3000000 - len(mark))))
sock.shutdown(socket.SHUT_WR)
sock.recv(1)
END2
scenario() {
    serve sink "$talk" sink "$IP" 7000 1
    wait_listen sink 7000
    equal 'taken from the client' 3000000 "$(client python3 "$T/write.py" client "$IP" "$MARK")"
    join sink 20
    has "$T/log/sink" '^3000000 .* end$'
    serve writer python3 "$T/write.py" server "$IP" "$MARK"
    wait_listen writer 7000
    client "$talk" hear "$IP" 7000 >"$T/log/hear"
    has "$T/log/hear" '^3000000 .* end$'
    join writer 20
    equal 'taken from the server' 3000000 "$(tail -n 1 "$T/log/writer")"
    rm "$T/log/sink" "$T/log/writer"
}
three_ways scenario
