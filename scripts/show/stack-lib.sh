# Shared by the scripts of the stack: a Docker engine of our own, ended with the script.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. scripts/packages.sh
install_packages nginx redis-server dockerd
folder=$(mktemp -d)
trap 'scripts/docker-engine stop "$folder"' EXIT
PLANNER_TEST_DOCKER=$(scripts/docker-engine start "$folder") || die "no Docker engine of our own comes up here"
export PLANNER_TEST_DOCKER
wrong=0

# shown NAME COMMAND...: a part that must succeed, with its figures.
shown() {
    say "$1"
    shift
    "$@" || wrong=$((wrong + 1))
}

# tests PACKAGE TEST [FILTER]: the ignored tests of a test program, one after the other.
tests() {
    cargo test -q -p "$1" --test "$2" -- --ignored --nocapture --test-threads 1 "${@:3}" 2>&1 |
        grep -E '^test |requests|reloads|test result|panicked' | sed 's/^/  /'
    return "${PIPESTATUS[0]}"
}

finish() {
    [ "$wrong" -eq 0 ] || { printf '\nNOT shown: %s\n' "$1"; exit 1; }
    printf '\nshown: %s\n' "$1"
}
