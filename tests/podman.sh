# What scripts share that run containers by podman and runc. To be sourced after tests/frame.sh.
# shellcheck shell=bash disable=SC2154
#
# The containers live in mount, network and process namespaces of a script's own (unshare(1)), with
# /run and /var/lib in memory: the commands can be those that a newcomer types, and at the end the
# kernel removes images, containers, bridges, packet filters and processes, however the script ends.
# Control groups have no such namespace; they are removed one by one. Two settings depend on the
# machine, and containers.conf has them:
# - cgroup_manager: systemd can't be reached without /run.
# - default_ulimits: podman raises open files and processes to 1,048,576 and 4,194,304, and a root
#   without CAP_SYS_RESOURCE, as in many virtual machines for CI, may not ("error setting rlimit").

# Runs the calling script once more, as root and in those namespaces, with `--inside` and the folder
# of its files.
in_own_namespaces() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" unshare --mount --net --pid --fork --mount-proc --kill-child \
        "$BASH" "tests/$(basename "$0")" --inside "$1"
}

enter_namespaces() {
    # The first process of a process namespace gets the signals that it handles, and SIGKILL.
    trap 'exit 130' INT TERM
    groups_of_podman > "$work/groups"
    ip link set lo up
    mount -t tmpfs -o mode=755 none /run
    mount -t tmpfs -o mode=755 none /var/lib
    # Networks are defined there, and podman leaves a lock.
    if [ -d /etc/cni/net.d ]; then
        cp -a /etc/cni/net.d "$work/networks"
        mount --bind "$work/networks" /etc/cni/net.d
    fi
    export CONTAINERS_CONF=$work/containers.conf
    cat > "$CONTAINERS_CONF" << CONF
[containers]
default_ulimits = ["nofile=$(limit n 20000)", "nproc=$(limit u 10000)"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
}

# A soft and hard limit of so much, or of what this process has.
limit() {
    local has
    has=$(ulimit "-H$1")
    [ "$has" != unlimited ] && [ "$has" -lt "$2" ] || has=$2
    echo "$has:$has"
}

groups_of_podman() {
    find /sys/fs/cgroup -depth -type d -path '*/libpod_parent*' | sort
}

# Groups of containers that run outside of this script have processes, and stay (cgroups(7)).
remove_groups() {
    groups_of_podman | sort --reverse | xargs --no-run-if-empty rmdir 2> /dev/null || true
}

no_new_group() {
    [ -z "$(comm -13 "$work/groups" <(groups_of_podman) | tee "$work/new")" ] || { cat "$work/new"; return 1; }
}

no_process() {
    ! grep -l '^uringstatic' /proc/[0-9]*/comm
}
