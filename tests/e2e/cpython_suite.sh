#!/bin/bash
# CPython's own tests of everything that uses sockets: clients and servers of one wrapped process, mutual TLS
# between them.
# limit: 900
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
LIMIT=600

MODULES=(test_socket test_select test_poll test_selectors test_asyncore test_asynchat test_socketserver
    test_httpservers test_httplib test_urllib2_localnet test_ftplib test_smtplib test_poplib test_imaplib
    test_nntplib test_telnetlib test_xmlrpc test_wsgiref)
# TLS has no urgent bytes; VSOCK is no TCP and hangs where there is no virtual machine.
WITHOUT=(-i '*VSOCK*' -i '*TestAPI_*.test_handle_expt' -i '*TestFTPClass.test_abort')

export MTLSWRAP_STATE=$T/state MTLSWRAP_LOG=info MTLSWRAP_LOG_FILE=$T/log/mtls.suite
status=0
cd "$T/tmp"
# A test that fails is given one more chance (-w): some of them hold the machine to a few milliseconds.
timeout -k 5 "$LIMIT" "$BUILD/mtlswrap" run -- python3 -m test -w -u network --timeout 200 "${WITHOUT[@]}" \
    "${MODULES[@]}" >"$T/log/suite" 2>&1 </dev/null || status=$?
equal 'exit status of the suite' 0 "$status"
has "$T/log/suite" '^(Tests r|R)esult: .*SUCCESS$'
[ "$(grep -c ': TLS 1\.3' "$T/log/mtls.suite")" -gt 200 ] || fail 'hardly a connection was protected'
