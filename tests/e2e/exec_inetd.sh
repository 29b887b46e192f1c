#!/bin/bash
# Connections that become the standard streams of other programs, in every way a server can start them: a filter in C, a shell
# that starts further programs on the same connection, a script. Two programs that use a connection in turns, or while their
# parent holds it too, see one stream.
# limit: 300
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

inetd=$(program exec_inetd)
cat >"$T/chain.sh" <<'END'
#!/bin/bash
# Own words, words of programs, a pipe, a subshell, a program that reads, all on one connection.
echo 'one by the shell'
/bin/echo 'two by a program'
(echo 'three by a subshell'; /usr/bin/env echo 'four by its program')
read -r first
echo "first $first"
head -n 1 | /usr/bin/tr a-z A-Z
echo 'five by the shell' | /bin/cat
exec /bin/cat
END
chmod 755 "$T/chain.sh"

want_lines() { for n in $(seq 0 $(($1 - 1))); do echo "$MARK $n"; done; }
want_chain() {
    printf '%s\n' 'one by the shell' 'two by a program' 'three by a subshell' 'four by its program' "first $MARK 0"
    echo "$MARK 1" | tr a-z A-Z
    echo 'five by the shell'
}

ask() { # PORT LINES
    client python3 "$PROGS/exec_client.py" "$IP" "$1" "$2" "$MARK"
}

scenario() {
    local how
    for how in fork keep vfork spawn other; do
        serve "cat.$how" "$inetd" "$IP" 7001 3 $how /bin/cat
        wait_listen "cat.$how" 7001
        equal "cat by $how" "$(want_lines 3; echo end)" "$(ask 7001 3)"
        equal "cat by $how" "$(want_lines 2000; echo end)" "$(ask 7001 2000)"
        equal "nothing by $how" end "$(ask 7001 0)"
        join "cat.$how" 20
        equal "programs by $how" "$(printf 'ended with 0\n%.0s' 1 2 3)" "$(cat "$T/log/cat.$how")"
        serve "sh.$how" "$inetd" "$IP" 7002 2 $how "$T/chain.sh"
        wait_listen "sh.$how" 7002
        equal "script by $how" "$(want_chain; echo end)" "$(ask 7002 2)"
        equal "script by $how" "$(want_chain; echo end)" "$(ask 7002 2)"
        join "sh.$how" 20
        rm "$T/log/cat.$how" "$T/log/sh.$how"
    done
    serve self "$inetd" "$IP" 7003 1 self /bin/cat
    wait_listen self 7003
    equal 'cat by the server itself' "$(want_lines 5; echo end)" "$(ask 7003 5)"
    join self 20
    serve activated "$inetd" "$IP" 7004 2 listen_fds /bin/bash -c 'cat <&3 >&3'
    wait_listen activated 7004
    equal 'descriptor 3' "$(want_lines 5; echo end)" "$(ask 7004 5)"
    equal 'descriptor 3' "$(want_lines 5; echo end)" "$(ask 7004 5)"
    join activated 20
}
three_ways scenario plain strict permissive disable
