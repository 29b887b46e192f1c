#!/bin/bash
# Installs the Debian packages that are missing: `tests/deps.sh [build] [demo] [test] [lint]`, all
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
        echo libcriterion-dev libnginx-mod-stream wrk postgresql postgresql-client nodejs \
            openjdk-17-jdk-headless iperf3 gnutls-bin stunnel4 strace apache2-bin \
            mariadb-server-core mariadb-client-core openssh-server openssh-client vsftpd lftp \
            openbsd-inetd systemd php-cli perl ruby tcl erlang-base libjemalloc2 \
            libtcmalloc-minimal4
        ;;
    lint) echo clang-format clang-tidy cppcheck shellcheck binutils ;;
    *) echo "usage: tests/deps.sh [build] [demo] [test] [lint]" >&2 && exit 64 ;;
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

# The units of the packages that were just installed must not come up at the next boot either.
disable_services() {
    command -v systemctl >/dev/null || return 0
    for package; do
        dpkg-query -L "$package" 2>/dev/null |
            sed -n 's|^.*/systemd/system/\([^/@]*\.\(service\|socket\)\)$|\1|p'
    done | sort -u | while read -r unit; do
        as_root systemctl --quiet disable "$unit" >/dev/null 2>&1 || true
    done
}

main() {
    local wanted packages
    [ $# -gt 0 ] || set -- build demo test lint
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
    # shellcheck disable=SC2086
    as_root $apt install $packages
    # shellcheck disable=SC2086
    disable_services $packages
}
main "$@"
