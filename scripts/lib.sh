# Shared by the scripts of this folder. Sourced, not run.

# Where the project is, from wherever a script is called.
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-never}"

# The crates that are published, in the order in which they would be.
publishable=(planner-core planner-peers planner-lab planner-laws planner-ports planner-runtime planner-local planner-probe
    planner-nginx planner-redis planner-docker planner-llm)

# Servers live where only root's path looks.
PATH=$PATH:/usr/sbin:/sbin

say() { printf '\n== %s\n' "$*"; }

die() {
    printf '%s\n' "$*" >&2
    exit 2
}

command -v cargo >/dev/null || die "cargo: not found; install a Rust toolchain (1.95 or newer)"

# tool NAME: a cargo subcommand, installed when it is not there. Not optimised: it is built in a third
# of the time, and is not what takes long here.
tool() {
    ! cargo "$1" --version >/dev/null 2>&1 || return 0
    say "installing cargo-$1 with cargo"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        CARGO_PROFILE_RELEASE_DEBUG=none cargo install -q --locked "cargo-$1"
}

# Counts tests over both runners and prints the line at the end.
passed=0
failed=0
skipped=0

# skip WHAT WHY: a test that cannot run here. In CI that is a failure unless WHY starts with "data:".
skip() {
    skipped=$((skipped + 1))
    printf 'SKIPPED %s: %s\n' "$1" "$2"
    case "$2" in
    data:*) ;;
    *)
        if [ "${CI:-}" = true ]; then
            failed=$((failed + 1))
            printf 'in CI this is a failure\n'
        fi
        ;;
    esac
}
