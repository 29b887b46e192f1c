#!/bin/bash
# redis-server answers redis-cli and a pipelining redis-benchmark; a 10 MB value comes back whole.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

head -c 10000000 /dev/urandom >"$T/big"

scenario() {
    local cli=(redis-cli -h "$IP" -p 6379)
    serve redis redis-server --bind "$IP" --port 6379 --save '' --dir "$T/$WAY" --io-threads 2
    wait_listen redis 6379
    equal set OK "$(client "${cli[@]}" set key "$MARK")"
    equal get "$MARK" "$(client "${cli[@]}" get key)"
    equal set OK "$(client "${cli[@]}" -x set big <"$T/big")"
    client "${cli[@]}" --raw get big | head -c 10000000 | cmp - "$T/big"
    printf 'incr n\nincr n\nincr n\n' | client "${cli[@]}" >"$T/log/cli"
    equal pipeline 3 "$(tail -n 1 "$T/log/cli")"
    client redis-benchmark -h "$IP" -p 6379 -P 16 -c 20 -n 20000 -t set,get,incr,lpush -q >"$T/log/benchmark" 2>&1
    hasnt "$T/log/benchmark" '[Ee]rror'
    equal tests 4 "$(tr '\r' '\n' <"$T/log/benchmark" | grep -c 'requests per second')"
    # Blocking commands and a publisher cross two connections.
    start waiter "$CLIENT" "${cli[@]}" blpop queue 20
    wait_until 10 waiting
    equal push 1 "$(client "${cli[@]}" rpush queue "$MARK")"
    join waiter 20
    has "$T/log/waiter" "$MARK"
    stop redis
}
waiting() { client redis-cli -h "$IP" -p 6379 info clients | grep -q 'blocked_clients:1'; }
three_ways scenario
