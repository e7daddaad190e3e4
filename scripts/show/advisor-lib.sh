# Shared by the scripts of the advisor: what is shown of it needs no server but its own.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
