# Shared by lab-*: builds the lab in release, and says where its results and the real traces are.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
folder=$PWD/out/show/lab
mkdir -p "$folder"
. scripts/show/parts.sh

# Not part of the project: measured and published by others.
traces=../shared/traces

# needs_traces WHAT: ends where there are none.
needs_traces() {
    [ -d "$traces" ] && return
    printf 'NOT shown: %s: the folder %s with request-rate traces is absent; put trace CSVs there\n' \
        "$1" "$traces"
    exit 1
}

cargo build -q --release -p planner-examples-local --bin lab || exit 2
lab=${CARGO_TARGET_DIR:-$PWD/target}/release/lab
