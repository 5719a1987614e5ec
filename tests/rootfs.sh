# A machine of Debian 12 with systemd as its first process, for scripts that need one: its files, made
# once by debootstrap and kept below the target folder, a container of systemd-nspawn that runs them,
# with changes in memory only, and load within it. To be sourced after tests/frame.sh; not run by itself.
# shellcheck shell=bash

rootfs_packages=systemd,systemd-sysv,dbus,curl,logrotate,procps,man-db
# Made anew when the packages change.
rootfs=${CARGO_TARGET_DIR:-target}/rootfs-bookworm-$(cksum <<< "$rootfs_packages" | cut -d ' ' -f 1)

install_machine_tools() {
    install_missing debootstrap:debootstrap systemd-nspawn:systemd-container unshare:util-linux
}

# Makes the files, unless they are there. An interrupted attempt leaves no folder of that name.
make_rootfs() {
    [ -e "$rootfs" ] && return
    local part=$rootfs.part as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" rm -rf "${rootfs%-*}"-*
    "${as_root[@]}" debootstrap --variant=minbase --include="$rootfs_packages" bookworm "$part" > "$part.log" 2>&1 ||
        { tail -n 5 "$part.log"; return 1; }
    # Units that concern real machines, or wait for a network, are masked.
    "${as_root[@]}" sh -ec "rm -rf '$part'/var/cache/apt/archives/*.deb '$part.log'
        for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer man-db.timer \
            systemd-networkd-wait-online.service getty.target; do
            ln -sf /dev/null '$part'/etc/systemd/system/\$unit
        done
        mv '$part' '$rootfs'"
}

# Runs the calling script once more, as root and in namespaces of its own, with `--inside` and these
# arguments. What is mounted or started there ends with it.
in_own_machine() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" unshare --mount --pid --fork --mount-proc --kill-child "$BASH" "$0" --inside "$@"
}

# Boots the machine, with further options of systemd-nspawn; the network has a loopback device only.
# systemd-nspawn's registers of machines are those of an empty /run. Its filter of system calls is
# older than Landlock.
boot_machine() {
    mount -t tmpfs -o mode=755 none /run
    find /sys/fs/cgroup -type d > "$work/groups"
    systemd-nspawn --directory="$rootfs" --machine=uringstatic --volatile=overlay --boot \
        --register=no --keep-unit --private-network --console=pipe --link-journal=no \
        --resolv-conf=off --timezone=off \
        --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' "$@" < /dev/null > "$work/console" 2>&1 &
    nspawn=$!
    local tries
    for tries in $(seq 600); do
        leader=$(pgrep -P "$nspawn" -x systemd || true)
        [ -z "$leader" ] || ! inside systemctl is-system-running --wait > "$work/state" 2>&1 || return 0
        ! grep -qs degraded "$work/state" || { inside systemctl --failed; return 0; }
        kill -0 "$nspawn" 2> /dev/null || break
        sleep 0.1
    done
    cat "$work/console"
    echo "the machine did not boot"
    return 1
}

# Runs a command in the machine.
inside() {
    nsenter --target "$leader" --all --wdns=/ env -i PATH=/usr/sbin:/usr/bin HOME=/root \
        LANG=C.UTF-8 SYSTEMD_PAGER= "$@"
}

halt_machine() {
    # The first process powers off on this signal (systemd(1)).
    kill -RTMIN+4 "$leader" 2> /dev/null || true
    wait "$nspawn" || true
    local group
    # Control groups have no namespace here: those that are new are removed, the innermost first.
    # There may be none, which is no failure of this pipe.
    find /sys/fs/cgroup -type d | { grep -vxFf "$work/groups" || true; } | sort -r |
        while read -r group; do
            rmdir "$group" 2> /dev/null || true
        done
}

# Tries for 20 s.
becomes() {
    local tries
    for tries in $(seq 200); do
        if "$@" > "$work/becomes" 2>&1; then return; fi
        sleep 0.1
    done
    cat "$work/becomes"
    return 1
}

# Load from within the machine, until it is ended.
start_load() {
    local name=$1
    shift
    inside uringload --duration 1h --processes 1 --quiet --json - "$@" > "$work/$name.json" 2> "$work/$name.out" &
    pids[$name]=$!
    # It is under way.
    sleep 0.5
}

end_load() {
    # A shell and nsenter(1) wait for it, and pass no signal on.
    pkill -INT -P "$(pgrep -P "${pids[$2]}")"
    wait "${pids[$2]}" || true
    unset "pids[$2]"
    check "$1: no failed request" has_no_failures "$2"
    cat "$work/$2.summary"
}

has_no_failures() {
    python3 - "$work/$1.json" "$1" > "$work/$1.summary" << 'PYTHON' || { cat "$work/$1.summary" "$work/$1.out"; return 1; }
import json, sys

run = json.load(open(sys.argv[1]))["runs"][0]
print(f'uringload, {sys.argv[2]}: {run["requests"]} requests, {run["failed"]} failed,',
      f'{run["connects"]} connections, the slowest response {run["response_us"]["max"] / 1000:.0f} ms')
assert run["requests"] > 0 and run["failed"] + run["connects_failed"] == 0, run
PYTHON
}
