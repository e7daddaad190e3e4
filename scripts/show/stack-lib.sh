# Shared by the scripts of the stack: a Docker engine of our own, ended with the script.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. scripts/packages.sh
install_packages nginx redis-server dockerd
folder=$(mktemp -d)
trap 'scripts/docker-engine stop "$folder"' EXIT
PLANNER_TEST_DOCKER=$(scripts/docker-engine start "$folder") || die "no Docker engine of our own comes up here"
export PLANNER_TEST_DOCKER
. "$(dirname "${BASH_SOURCE[0]}")/parts.sh"
