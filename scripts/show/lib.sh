# Shared by the scripts of this folder: builds the programs, runs scenarios, keeps them in out/show.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

cargo build -q --release --bins || exit 2
bin=$PWD/target/release
kept=$PWD/out/show
mkdir -p "$kept"
wrong=0

# scenario NAME FLAGS...: one run of quickstart, kept as NAME; its summary is shown.
scenario() {
    local name=$1
    shift
    rm -rf "${kept:?}/$name"
    say "quickstart $* -> out/show/$name"
    "$bin/quickstart" --out "$kept/$name" "$@" >"$kept/$name.log" 2>&1 || {
        tail -n 5 "$kept/$name.log"
        wrong=$((wrong + 1))
    }
    tail -n 8 "$kept/$name.log"
}

# holds NAME LIMITS...: the run's figures against limits.
holds() {
    local name=$1
    shift
    "$bin/check-run" "$kept/$name/run.json" "$@" || wrong=$((wrong + 1))
}

# replayed NAME: every decision of the run again.
replayed() {
    "$bin/replay" "$kept/$1/journal.jsonl" || wrong=$((wrong + 1))
}

finish() {
    if [ "$wrong" -eq 0 ]; then
        printf '\nshown: %s\n' "$1"
    else
        printf '\nNOT shown: %s (%s did not hold)\n' "$1" "$wrong"
        exit 1
    fi
}
