#!/usr/bin/env bash
# Runs the service by the units of deploy/systemd under a real systemd: in a container of Debian 12
# whose first process it is (systemd-nspawn). Start, reload, failed reload, restart, crash, watchdog
# and stop, with load where requests could be lost. Prints a line for each check and a summary; exits
# with 1 if a check failed. Has to be run by root, or by a user that may use sudo. The first run makes
# the container's files with debootstrap.
#
# usage: systemd.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh
source tests/rootfs.sh

main() {
    if [ "${1:-}" = --inside ]; then
        in_machine "$2" "$3"
        return
    fi
    install_machine_tools
    cargo build --bins
    make_rootfs
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    in_own_machine "$work" "$(realpath "${CARGO_TARGET_DIR:-target}/debug")"
}

in_machine() {
    work=$1
    trap 'halt_machine' EXIT
    boot_machine --bind-ro="$2/uringload:/usr/bin/uringload" --bind-ro="$PWD/deploy:/mnt/deploy" \
        --bind-ro="$2:/mnt/target/release"
    prepare_site
    check "installed as docs/operating.md says" install_by_hand
    check "installed: serves the site" page_is blue
    inside sh -ec 'echo "OPTIONS=--root /srv/www/current --workers 2" > /etc/default/uringstatic
        systemctl stop uringstatic.service'
    check "systemd-analyze: exposure 1.0 at most, of 10" exposure_is_low
    starts
    [ "$failed" -eq 0 ] || { summary; return; }
    reloads_under_load
    reload_fails
    restarts_under_load
    crashes
    watchdog
    health_socket
    stops
    summary
}

# The limits are those that this machine's root may set: without CAP_SYS_RESOURCE, as in many virtual
# machines for CI, it can't raise them (setrlimit(2)).
prepare_site() {
    inside sh -ec '
        mkdir -p /etc/systemd/system/uringstatic.service.d /srv/www/blue /srv/www/green
        for release in blue green; do
            echo "<h1>$release</h1>" > /srv/www/$release/index.html
            seq 20000 > /srv/www/$release/shared.txt
        done
        seq 20000 > /root/shared.txt'
    write_drop_in limits "LimitNOFILE=$(ulimit -Hn)" "LimitMEMLOCK=$(locked_bytes)"
    switch_to blue
}

install_by_hand() {
    sed -n '/^# install -m 755 .*uringstatic/,/^```$/ s/^# //p' docs/operating.md > "$work/commands"
    grep -q enable "$work/commands"
    inside bash -ec "cd /mnt; $(cat "$work/commands")"
}

locked_bytes() {
    local kib
    kib=$(ulimit -Hl)
    [ "$kib" = unlimited ] && echo infinity || echo "${kib}K"
}

# Writes a drop-in of the service by this name, and has systemd read it.
write_drop_in() {
    local name=$1
    shift
    printf '[Service]\n%s\n' "$(printf '%s\n' "$@")" |
        inside tee "/etc/systemd/system/uringstatic.service.d/$name.conf" > /dev/null
    inside systemctl daemon-reload
}

remove_drop_in() {
    inside rm "/etc/systemd/system/uringstatic.service.d/$1.conf"
    inside systemctl daemon-reload
}

switch_to() {
    inside sh -ec "ln -s $1 /srv/www/next && mv -T /srv/www/next /srv/www/current"
}

exposure_is_low() {
    inside systemd-analyze security --offline=true --threshold=10 /etc/systemd/system/uringstatic.service
}

starts() {
    check "systemctl start" inside systemctl start uringstatic.service
    check "start: active once it serves" is_state active running
    check "start: serves at once" page_is blue
    check "start: systemctl status has the generation" status_is 'generation 1: 2 workers serve /srv/www/current'
    check "start: the journal has the ready line" journal_has 'uringstatic: ready on http://\[::\]:80/ with '
    check "start: by io_uring, in the sandboxes of systemd and its own" \
        journal_has '; 2 workers; io_uring with .*; lockdown \(full\|partial (listeners)\)'
    check "start: no process is root's, or any other user's" processes_are_unprivileged
    check "start: the service has no network" has_no_network
}

# Requests in the machine, by both ways of using connections; each must be answered.
reloads_under_load() {
    local number release=green
    start_load kept --connections 20 --expect /root/shared.txt http://127.0.0.1/shared.txt
    start_load close --connections 10 --close http://127.0.0.1/shared.txt
    for number in 2 3 4 5; do
        switch_to $release
        inside systemctl reload uringstatic.service
        check "reload $number: systemctl status has the new generation" \
            status_becomes "generation $number: 2 workers serve /srv/www/current"
        check "reload $number: serves the new release" page_is $release
        [ $release = green ] && release=blue || release=green
    done
    end_load "reload, connections kept" kept
    end_load "reload, --close" close
}

reload_fails() {
    local process
    process=$(main_process)
    inside mv /srv/www/blue /srv/www/moved
    inside systemctl reload uringstatic.service
    check "failed reload: systemctl status has the error and what goes on" \
        status_becomes 'not reloaded: reading the root /srv/www/current: No such file .*; generation 5: '
    check "failed reload: the journal has the error" journal_has 'not reloaded, .*: No such file'
    check "failed reload: active, not reloading" becomes is_state active running
    check "failed reload: the old release is served" page_is blue
    check "failed reload: by the same process" test "$process" = "$(main_process)"
    inside mv /srv/www/moved /srv/www/blue
    inside systemctl reload uringstatic.service
    check "failed reload: the next one succeeds" status_becomes 'generation 7: 2 workers serve '
}

restarts_under_load() {
    local number
    start_load close --connections 20 --close http://127.0.0.1/shared.txt
    start_load kept --connections 20 http://127.0.0.1/shared.txt
    for number in 1 2 3 4 5; do
        check "restart $number" inside systemctl restart uringstatic.service
    done
    end_load "5 restarts, --close" close
    end_load "5 restarts, connections kept" kept
    check "restart: generation 1 again" status_is 'generation 1: '
    check "restart: the drain was orderly" journal_has 'served [0-9]* connections.*; errors: none$'
}

# The kernel closes the connections of a killed process. Those that are not accepted wait.
crashes() {
    local before restarts
    before=$(main_process)
    inside kill -KILL "$before"
    check "killed supervisor: a connection in between waits and is served" page_is blue
    check "killed supervisor: started again" status_becomes 'generation 1: '
    check "killed supervisor: by another process" test "$before" != "$(main_process)"
    restarts=$(property NRestarts)
    check "killed supervisor: by Restart=" test "$restarts" -eq 1
    before=$(main_process)
    inside pkill -ABRT -x uringstatic-w1
    check "crashed worker: replaced" journal_becomes 'worker 1 ended: SIGABRT .*; it is replaced at once'
    check "crashed worker: by the supervisor alone" test "$before" = "$(main_process)"
    check "crashed worker: serves" page_is blue
}

# A worker that hangs is the supervisor's business; a supervisor that hangs, and a worker that it may
# not replace, are systemd's.
watchdog() {
    local before
    write_drop_in watchdog WatchdogSec=4s 'Environment="OPTIONS=--worker-timeout 1s --root /srv/www/current"' EnvironmentFile=
    inside systemctl restart uringstatic.service
    before=$(main_process)
    inside pkill -STOP -x uringstatic-w0
    check "hanging worker: killed and replaced" journal_becomes 'worker 0 takes no turn within --worker-timeout'
    check "hanging worker: serves" page_is blue
    check "hanging worker: by the supervisor" test "$before" = "$(main_process)"
    inside kill -STOP "$before"
    check "hanging supervisor: killed by the watchdog" journal_becomes 'Watchdog timeout (limit 4s)!'
    check "hanging supervisor: a connection in between waits and is served" page_is blue
    check "hanging supervisor: started again" status_becomes 'generation 1: '
    check "hanging supervisor: by another process" test "$before" != "$(main_process)"
    write_drop_in watchdog WatchdogSec=2s 'Environment="OPTIONS=--worker-timeout 0s --root /srv/www/current"' EnvironmentFile=
    inside systemctl restart uringstatic.service
    inside pkill -STOP -x uringstatic-w0
    check "worker that is never replaced: the watchdog ends the service" journal_becomes 'Watchdog timeout (limit 2s)!'
    check "worker that is never replaced: serves again" page_is blue
    # Signs of life of a service without load, for longer than the period.
    before=$(main_process)
    sleep 5
    check "idle service: lives on" test "$before" = "$(main_process)"
    remove_drop_in watchdog
    inside systemctl restart uringstatic.service
}

# A second socket unit of the same service, as docs/operating.md has it.
health_socket() {
    sed -n '/^# .*uringstatic-health.socket$/,/^```$/ { /^\(#\|```\)/d; p }' docs/operating.md |
        inside tee /etc/systemd/system/uringstatic-health.socket > /dev/null
    inside systemctl daemon-reload
    inside systemctl stop uringstatic.service
    check "health socket: starts" inside systemctl start uringstatic-health.socket uringstatic.service
    check "health socket: checks" inside curl -sS --fail --max-time 20 http://127.0.0.1:8081/healthz
    check "health socket: nothing else" status_of 404 http://127.0.0.1:8081/
    check "health socket: both addresses" journal_has 'ready on http://\[::\]:80/ .*health checks on .*:8081/healthz'
    inside systemctl stop uringstatic-health.socket
}

stops() {
    check "systemctl stop" inside systemctl stop uringstatic.service
    check "stop: inactive, and no failure" is_state inactive dead
    check "stop: the result is success" test "$(property Result)" = success
    check "stop: no process is left" no_process
    check "stopped: a connection starts the service" page_is blue
    check "stopped: it runs" becomes is_state active running
    check "stop with the socket" inside systemctl stop uringstatic.socket uringstatic.service
    check "stop with the socket: connections are refused" refuses
}

page_is() {
    inside curl -sS --fail --max-time 20 http://127.0.0.1/ | grep -q "<h1>$1</h1>"
}

status_of() {
    [ "$(inside curl -sS --max-time 20 -o /dev/null -w '%{http_code}' "$2")" = "$1" ]
}

refuses() {
    ! inside curl -sS --max-time 20 http://127.0.0.1/ && ! inside pgrep uringstatic
}

property() {
    inside systemctl show --value --property "$1" uringstatic.service
}

# Its process ID. 0, which stands for none, would be this script's own process group for kill(1).
main_process() {
    local process
    process=$(property MainPID)
    [ "$process" -gt 0 ] && echo "$process"
}

is_state() {
    local state
    state=$(property ActiveState)/$(property SubState)
    [ "$state" = "$1/$2" ] || { echo "$state"; return 1; }
}

status_is() {
    inside systemctl status uringstatic.service | tee "$work/status" | grep -q "Status: \".*$1" ||
        { cat "$work/status"; return 1; }
}

status_becomes() {
    becomes status_is "$1"
}

journal_has() {
    inside journalctl --unit uringstatic.service --output cat > "$work/journal"
    grep -q "$1" "$work/journal" || { tail -n 20 "$work/journal"; return 1; }
}

journal_becomes() {
    becomes journal_has "$1"
}

# All processes of the service belong to one user, which isn't root.
processes_are_unprivileged() {
    local users
    users=$(inside ps -o euid=,comm= -A | sed -n 's/^ *\([0-9]*\) uringstatic.*/\1/p')
    [ "$(wc -l <<< "$users")" -eq 4 ] && [ "$(sort -u <<< "$users" | wc -l)" -eq 1 ] &&
        [ "$(head -n 1 <<< "$users")" -ne 0 ] || { echo "$users"; return 1; }
}

has_no_network() {
    local process
    process=$(main_process)
    [ "$(inside nsenter --target "$process" --net ls /sys/class/net)" != "" ] &&
        [ "$(inside readlink "/proc/$process/ns/net")" != "$(inside readlink /proc/1/ns/net)" ]
}

no_process() {
    ! inside pgrep uringstatic
}

main "$@"
