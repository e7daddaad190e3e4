# Installs Debian packages for tests. Sourced, not run.

# Why something is missing after all.
not_installed=

# install_packages PROGRAM...: the package of each program that is missing.
# Says what it installs, asks once on a terminal, and keeps packages from starting services.
install_packages() {
    local missing=() program
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$(package_of "$program")")
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

# package_of PROGRAM: most packages have their program's name.
package_of() {
    case "$1" in
    dockerd) printf docker.io ;;
    *) printf '%s' "$1" ;;
    esac
}

apt_install() {
    # Package lists may be old; what is there may do.
    apt-get update -qq || printf 'apt-get update failed; going on with the lists at hand\n'
    DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null || return 1
    # A package enables its service for the next boot; it was not there before, so nobody wants it.
    if command -v systemctl >/dev/null; then
        local package service
        for package in "$@"; do
            case "$package" in
            docker.io) service="docker.service docker.socket containerd.service" ;;
            *) service=$package.service ;;
            esac
            # shellcheck disable=SC2086 # several names
            systemctl --quiet disable $service >/dev/null 2>&1 || true
        done
    fi
}

# without_services COMMAND...: while it runs, no package may start a service. A policy that is there
# already is somebody's, and stays; one of ours that was left behind goes. A subshell, so that its
# traps are its own.
without_services() (
    policy=/usr/sbin/policy-rc.d
    ours="# of planner's scripts/test"
    if { [ -e "$policy" ] || [ -L "$policy" ]; } && ! grep -qF "$ours" "$policy" 2>/dev/null; then
        "$@"
        exit
    fi
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM HUP
    { printf '#!/bin/sh\n%s\nexit 101\n' "$ours" >"$policy" && chmod 755 "$policy"; } || {
        printf '%s cannot be written, so nothing is installed\n' "$policy"
        exit 1
    }
    "$@"
)
