# Installs Debian packages for tests. Sourced, not run.

# Why something is missing after all.
not_installed=

# install_packages PROGRAM...: the package of each program that is missing; both have the same name.
# Says what it installs, asks once on a terminal, and keeps packages from starting services.
install_packages() {
    local missing=() program
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    say "installing with apt-get, without starting any service: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ]; then
        not_installed="this user is not root"
        return 0
    fi
    command -v apt-get >/dev/null || {
        not_installed="there is no apt-get"
        return 0
    }
    if [ -t 0 ]; then
        local answer
        read -r -p "Install them? [y/N] " answer
        case "$answer" in
        y | Y | yes) ;;
        *)
            not_installed="it was not wanted"
            return 0
            ;;
        esac
    fi
    without_services apt_install "${missing[@]}" || not_installed="apt-get failed"
}

apt_install() {
    # Package lists may be old; what is there may do.
    apt-get update -qq || printf 'apt-get update failed; going on with the lists at hand\n'
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# without_services COMMAND...: while it runs, no package may start a service. A policy that is there
# already is somebody's, and stays.
without_services() {
    local policy=/usr/sbin/policy-rc.d code
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    "$@"
    code=$?
    rm -f "$policy"
    return "$code"
}
