# Shared: parts that are shown one after the other, and their sum. `folder` is the caller's.
wrong=0

# shown NAME COMMAND...: a part that must succeed, with its figures.
shown() {
    say "$1"
    shift
    "$@" || wrong=$((wrong + 1))
}

# ran COMMAND...: a test runner and its figures; where it found no test, nothing was shown.
ran() {
    "$@" >"$folder/ran" 2>&1
    local code=$?
    grep -E '^test |[0-9] [a-z]|panicked' "$folder/ran" | grep -v '^running' | sed 's/^/  /'
    grep -q '^test result: .* [1-9][0-9]* passed' "$folder/ran" || code=1
    return "$code"
}

# tests TEST [FILTER...]: the tests of a test program, one after the other.
tests() {
    ran cargo test -q --workspace --test "$1" -- --include-ignored --nocapture --test-threads 1 "${@:2}"
}

# quick PACKAGE [FILTER...]: tests of a library, which need no server.
quick() {
    ran cargo test -q -p "$1" --lib -- --nocapture "${@:2}"
}

finish() {
    [ "$wrong" -eq 0 ] || { printf '\nNOT shown: %s\n' "$1"; exit 1; }
    printf '\nshown: %s\n' "$1"
}
