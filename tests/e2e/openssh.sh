#!/bin/bash
# sshd (which executes itself anew for each connection, forks and drops privileges, and speaks first) and ssh: a command,
# 10 MB both ways, sftp.
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

MARK=SSH-2.0-OpenSSH # what is in the clear on the wire of an unprotected connection
mkdir "$T/ssh" "$T/files"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/user"
cp "$T/ssh/user.pub" "$T/ssh/authorized"
printf '[%s]:2222 %s\n' "$IP" "$(cut -d ' ' -f 1,2 "$T/ssh/host.pub")" >"$T/ssh/known"
head -c 10000000 /dev/urandom >"$T/files/big"
cat >"$T/ssh/sshd_config" <<END
ListenAddress $IP:2222
HostKey $T/ssh/host
AuthorizedKeysFile $T/ssh/authorized
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
Subsystem sftp /usr/lib/openssh/sftp-server
END
cat >"$T/ssh/config" <<END
Host server
    HostName $IP
    Port 2222
    User $(id -un)
    IdentityFile $T/ssh/user
    IdentitiesOnly yes
    UserKnownHostsFile $T/ssh/known
    BatchMode yes
END
[ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd # the directory its privilege separation insists on

scenario() {
    local ssh=(ssh -F "$T/ssh/config")
    serve sshd /usr/sbin/sshd -D -e -f "$T/ssh/sshd_config"
    wait_listen sshd 2222
    equal command hello "$(client "${ssh[@]}" server echo hello)"
    client "${ssh[@]}" server cat <"$T/files/big" >"$T/files/back"
    cmp "$T/files/back" "$T/files/big"
    client scp -q -F "$T/ssh/config" "$T/files/big" "server:$T/files/$WAY"
    cmp "$T/files/$WAY" "$T/files/big"
    client scp -q -F "$T/ssh/config" "server:$T/files/big" "$T/files/back"
    cmp "$T/files/back" "$T/files/big"
    stop sshd
}
three_ways scenario
