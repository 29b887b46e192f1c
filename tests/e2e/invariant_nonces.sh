#!/bin/bash
# I3: no nonce is used twice, whoever writes: threads, handlers, forked children, new images, processes that got the
# descriptor, also of another user. A foreign peer opens every record in order; a second use of a nonce, or a lost one,
# is a record that it refuses (TLS 1.3) or sees (TLS 1.2 shows the nonce).
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

nonces=$(program inv_nonces)
peer=$(program inv_peer "$PROGS/inv_gather.c" -lssl -lcrypto)
mesh STRICT ISTIO_MUTUAL
chmod 777 "$T"
for version in 13 12; do
    WAY=tls$version
    start peer - "$peer" "$T/peer.$WAY" "$IP" 7000 "$T/certs/app"
    wait_until 10 test -S "$T/peer.$WAY"
    run app/client "$nonces" "$T/peer.$WAY" "$IP" 7000 $version >"$T/log/nonces"
    equal 'ways with nothing wrong' 13 "$(grep -c ': the end, as many as were written, ' "$T/log/nonces")"
    # Where a state goes to another user, the process that it comes from has it no more.
    equal 'ways that end in a refusal' "another user's image passing to another user " \
        "$(sed -n 's/:.* then refused$//p' "$T/log/nonces" | tr '\n' ' ')"
    stop peer
done
