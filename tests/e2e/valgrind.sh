#!/bin/bash
# Under valgrind a program of many threads, with the table and the certificates changing beneath it, is clean:
# memcheck finds no wrong access; helgrind no lock that is taken in an order which another thread turns round, is
# given back by one who does not hold it, or is held by a thread that ends. Data races are ThreadSanitizer's:
# Debian's helgrind knows no C11 atomics, and takes whatever they publish for raced at.
# limit: 600
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

WAY=strict
LIMIT=280
mesh STRICT ISTIO_MUTUAL
g++ -std=c++17 -O1 -g -Wall -Wextra -Werror -pthread -o "$T/threads" "$PROGS/sanitized.cpp"
clocklock=$(program helgrind_clocklock -D_GNU_SOURCE -shared -fPIC -ldl)
wrong=$(program valgrind_wrong)
cat >"$T/known" <<'END'
{
   races are judged by ThreadSanitizer
   Helgrind:Race
   obj:*
}
{
   a forked child makes the locks anew that its parent held for the fork
   Helgrind:Misc
   fun:_Exit
   fun:_exit
   fun:fork_once
}
END

valgrind_of() { # TOOL COMMAND…: its findings are in log/report.TOOL.PROCESS, and its exit status is 99 if there are any
    local tool=$1
    shift
    run app/server env "LD_PRELOAD=$BUILD/libmtlswrap.so $clocklock" valgrind "--tool=$tool" -q --error-exitcode=99 \
        "--suppressions=$T/known" "--log-file=$T/log/report.$tool.%p" "$@"
}
# What is looked for would be found.
sees() { # TOOL WORDS [OPTION…]
    local status=0
    valgrind_of "$1" "${@:3}" "$wrong" || status=$?
    equal "$1 on a program with a fault" 99 $status
    grep -q "$2" "$T/log/report.$1".*
    rm "$T/log/report.$1".*
}
clean() { # TOOL [OPTION…]
    equal "$1" finished \
        "$(valgrind_of "$@" "$T/threads" "$IP" 7000 "$T/mesh.ini" "$T"/certs/app/server/*.pem)"
    equal "reports of $1" '' "$(cat "$T/log/report.$1".*)"
    has "$T/log/mtls.strict.app.server" 'the changed policy table is in force'
    rm "$T/log/mtls.strict.app.server"
}

sees memcheck 'Invalid write'
clean memcheck
sees helgrind 'lock order' --history-level=none
clean helgrind --history-level=none
