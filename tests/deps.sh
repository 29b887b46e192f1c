#!/bin/bash
# Installs the Debian packages that are missing: `tests/deps.sh [build] [demo] [test] [bench] [lint] [fuzz]`, all
# groups when none is named. The one place that lists packages. Never upgrades what is there, starts
# no service, and leaves none enabled that this script brought in.
set -eu

packages_of() {
    case $1 in
    build) echo gcc make libc6-dev libssl-dev libinih-dev libipsec-mb-dev libyaml-dev ;;
    demo)
        packages_of build
        echo openssl curl nginx-light redis-server redis-tools python3 tcpdump iproute2
        ;;
    test)
        packages_of demo
        packages_of lint
        echo libcriterion-dev libnginx-mod-stream wrk postgresql postgresql-client nodejs \
            openjdk-17-jdk-headless iperf3 gnutls-bin stunnel4 strace apache2-bin \
            mariadb-server-core mariadb-client-core openssh-server openssh-client vsftpd lftp \
            openbsd-inetd systemd php-cli perl ruby tcl libpython3.11-testsuite erlang-base libjemalloc2 \
            libtcmalloc-minimal4 valgrind libc6-dbg
        ;;
    bench)
        packages_of build
        echo openssl nginx-light redis-server redis-tools iperf3 stunnel4 haproxy python3 util-linux
        ;;
    lint) echo clang-format cppcheck shellcheck binutils ;;
    fuzz) echo gcc make clang libclang-rt-14-dev libssl-dev libinih-dev libipsec-mb-dev libyaml-dev ;;
    *) echo "usage: tests/deps.sh [build] [demo] [test] [bench] [lint] [fuzz]" >&2 && exit 64 ;;
    esac
}

installed() {
    dpkg-query -W -f '${db:Status-Abbrev}\n' "$1" 2>/dev/null | grep -q '^ii'
}

missing() {
    for package; do
        installed "$package" || printf '%s\n' "$package"
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# A policy-rc.d that says 101 keeps invoke-rc.d and deb-systemd-invoke from starting anything.
policy=/usr/sbin/policy-rc.d
made_policy=
forbid_services() {
    [ -e "$policy" ] && return
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    made_policy=yes
}
allow_services() {
    [ -z "$made_policy" ] || as_root rm -f "$policy"
    made_policy=
}

all_installed() {
    dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' | sed -n 's/^ii *//p' | sort
}

# What came in must not come up at the next boot either, under either kind of init.
disable_services() { # PACKAGE…
    dpkg-query -L "$@" | sort -u | while read -r file; do
        case $file in
        */systemd/system/*@.*) ;;
        */systemd/system/*.service | */systemd/system/*.socket)
            as_root deb-systemd-helper disable "${file##*/}" >/dev/null 2>&1 || true
            ;;
        /etc/init.d/*) as_root update-rc.d "${file##*/}" disable >/dev/null 2>&1 || true ;;
        esac
    done
}

main() {
    local wanted packages before
    [ $# -gt 0 ] || set -- build demo test bench lint fuzz
    wanted=$(for group; do packages_of "$group"; done)
    # The lists are words on purpose.
    # shellcheck disable=SC2086
    packages=$(missing $wanted | sort -u)
    [ -n "$packages" ] || exit 0
    # shellcheck disable=SC2086
    echo installing: $packages
    trap allow_services EXIT
    forbid_services
    local apt='env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600
        -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold -o APT::Install-Recommends=false'
    # shellcheck disable=SC2086
    as_root $apt update >/dev/null
    before=$(all_installed)
    # shellcheck disable=SC2086
    as_root $apt install $packages
    # shellcheck disable=SC2046
    disable_services $(comm -13 <(printf '%s\n' "$before") <(all_installed))
}
main "$@"
