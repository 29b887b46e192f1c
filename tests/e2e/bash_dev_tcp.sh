#!/bin/bash
# bash's /dev/tcp: redirections of builtins and of the programs it starts, both directions, half of a duplicate closed.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 3000000 /dev/urandom >"$T/big"
cat >"$T/client.sh" <<'END'
set -eu
address=$1 mark=$2 big=$3
exec 3<>"/dev/tcp/$address/7000"
printf '%d\n%s' ${#mark} "$mark" >&3
read -r -N ${#mark} reply <&3
echo "$reply"
# A program of its own writes, another one reads; both inherit the connection.
{ stat -c %s "$big" && cat "$big"; } >&3 &
head -c "$(stat -c %s "$big")" <&3 | cmp - "$big"
wait $!
# A copy of the descriptor stays when the first is closed.
exec 4<&3 3>&-
printf '2\nab' >&4
read -r -N 2 reply <&4
echo "$reply"
exec 4>&-
# Standard output is the connection.
exec 5<>"/dev/tcp/$address/7000"
(exec 1>&5; printf '3\nxyz'; /bin/echo 1; printf q)
head -c 4 <&5
echo
END

scenario() {
    serve echo python3 "$PROGS/py_server.py" threads "$IP" 7000
    wait_listen echo 7000
    equal client "$(printf '%s\nab\nxyzq' "$MARK")" "$(client bash "$T/client.sh" "$IP" "$MARK" "$T/big")"
    stop echo
    hasnt "$T/log/echo" Traceback
}
three_ways scenario
