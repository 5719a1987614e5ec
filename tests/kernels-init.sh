#!/bin/busybox sh
# The first process of the machines that tests/kernels.sh and tests/arm.sh boot: checks the server
# on the running kernel and prints a line for each check, `ok NAME` or `FAIL NAME: why`, then `end`,
# and turns the machine off. The kernel's command line has `expect=ENGINE`, the engine that `auto`
# has to choose.

main() {
    prepare
    reason='engine epoll: io_uring needs Linux 6.1 or later'
    expected=$(sed -n 's/.*expect=\([a-z_]*\).*/\1/p' /proc/cmdline)
    echo "kernel $(uname -r), security modules: $(cat /sys/kernel/security/lsm 2> /dev/null || echo unknown)"
    if [ "$expected" = io_uring ]; then
        engines="auto io_uring epoll"
    else
        engines="auto epoll"
        check "--engine io_uring: an error that says why" refuses_io_uring 'run Linux 6.1 or later'
    fi
    for engine in $engines; do
        names=$engine
        [ "$engine" != auto ] || names=$expected
        serve_a_page
        [ "$engine $names" != "auto epoll" ] || check "auto: says why" says "$reason"
        serve_a_folder
        check "$engine: doctor" examines
        check "$engine: lockdown" locks_down
    done
    obey_settings
    check "no process is left" no_process
    echo end
    poweroff -f
}

prepare() {
    /bin/busybox mkdir -p /proc /sys /dev /tmp
    /bin/busybox mount -t proc none /proc
    /bin/busybox mount -t sysfs none /sys
    /bin/busybox mount -t securityfs none /sys/kernel/security 2> /dev/null
    /bin/busybox mount -t devtmpfs none /dev
    /bin/busybox --install -s /bin
    export PATH=/bin
    # What systemd gives to its services (systemd.exec(5), LimitNOFILE); a kernel alone gives 4096.
    ulimit -H -n 524288
    # Messages of the kernel would interrupt the lines of the checks.
    dmesg -n 1
    ip link set lo up
    # With TCP Fast Open, a layer of the sandbox is incomplete on each kernel.
    sysctl -qw net.ipv4.tcp_fastopen=2
    cp /site/blue/large.bin /site/green/large.bin
}

check() {
    name=$1
    shift
    if said=$("$@" 2>&1); then
        echo "ok $name"
    else
        echo "FAIL $name: $(echo "$said" | tail -n 12 | tr '\n' '|')"
    fi
}

serve_a_page() {
    start "a page" || return
    check "$engine: the built-in page, byte-exact" same /page.html
    kill -TERM $server
    check_end "$engine: drains"
}

serve_a_folder() {
    switch_to blue
    start "a folder" --root /site/current --workers 2 || return
    check "$engine: a folder by two workers, byte-exact" same /site/blue/index.html
    switch_to green
    kill -HUP $server
    check "$engine: reloads" says 'reloaded: generation 2 '
    check "$engine: the new release, byte-exact" same /site/green/index.html
    check "$engine: a response under way is completed in the drain" drains_under_way
    check_end "$engine: drains, two workers"
}

# Linux 6.6 can forbid io_uring: to all, or to all but root and one group. The workers have the
# group 1000 and are not root.
obey_settings() {
    [ -e /proc/sys/kernel/io_uring_disabled ] || return
    engine=auto
    names=epoll
    sysctl -qw kernel.io_uring_disabled=2
    serve_under_setting 'engine epoll: kernel.io_uring_disabled is 2'
    check "io_uring_disabled is 2, --engine io_uring: an error that says why" \
        refuses_io_uring 'io_uring_disabled is 2'
    sysctl -qw kernel.io_uring_disabled=1
    serve_under_setting 'engine epoll: kernel.io_uring_disabled is 1, and the user is not in the group'
    names=io_uring
    sysctl -qw kernel.io_uring_group=1000
    serve_under_setting 'io_uring with'
    sysctl -qw kernel.io_uring_disabled=0
}

serve_under_setting() {
    setting="io_uring_disabled=$(cat /proc/sys/kernel/io_uring_disabled)"
    start "a page under $setting" || return
    check "$setting: says $1" says "$1"
    check "$setting: the built-in page by $names, byte-exact" same /page.html
    kill -TERM $server
    check_end "$setting: drains"
}

switch_to() {
    ln -s "$1" /site/next
    mv -T /site/next /site/current
}

# Arguments are a name and options. `server` is the process and `url` its address. Fails if the
# server doesn't get ready.
start() {
    what=$1
    shift
    # The redirection of a background process happens at any moment, and the file has a ready line.
    : > /tmp/said
    /uringstatic --engine "$engine" --listen 127.0.0.1:0 --user 1000:1000 "$@" 2> /tmp/said &
    server=$!
    check "$engine: starts by $names, $what" says " ready on .*; $names"
    url=$(sed -n 's/.* ready on \([^ ]*\).*/\1/p' /tmp/said)
    [ -z "$url" ] || return 0
    kill -KILL $server 2> /dev/null
    wait $server
    return 1
}

# Waits for a line of the server.
says() {
    tries=0
    until grep -q "$1" /tmp/said; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! is_running; then
            cat /tmp/said
            return 1
        fi
        sleep 0.1
    done
}

# A process that has ended is there until its parent waits for it, but is a zombie (proc(5)).
is_running() {
    grep -q '^State:.[^Z]' /proc/$server/status 2> /dev/null
}

same() {
    wget -q -O /tmp/got "$url" && cmp /tmp/got "$1"
}

# A reader that has the first bytes takes the others only after the signal.
drains_under_way() {
    mkfifo /tmp/body
    wget -q -O /tmp/body "${url}large.bin" &
    exec 8< /tmp/body
    rm /tmp/body
    dd bs=1 count=16 of=/tmp/got <&8 2> /dev/null
    kill -TERM $server
    # The drain begins by closing the listeners.
    tries=0
    while wget -q -O /dev/null "$url" 2> /dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || return 1
        sleep 0.1
    done
    is_running || return 1
    cat <&8 >> /tmp/got
    cmp /tmp/got /site/green/large.bin
}

# Only the shell that started the server can wait for it.
check_end() {
    tries=0
    while is_running; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || kill -KILL $server
        sleep 0.1
    done
    wait $server
    code=$?
    check "$1, exit code 0" test $code -eq 0
    check "$1, no worker lost" has_totals
}

# The last line of the server; a worker that its sandbox killed is in it, and was replaced.
has_totals() {
    tail -n 1 /tmp/said | grep 'served [0-9]* connections.*; errors: none$' || { cat /tmp/said; return 1; }
}

refuses_io_uring() {
    timeout 30 /uringstatic --engine io_uring --listen 127.0.0.1:0 > /tmp/said 2>&1
    [ $? -eq 1 ] && grep -q "$1" /tmp/said || { cat /tmp/said; return 1; }
    cut -c 1-200 /tmp/said > /dev/console
}

# Warnings and faults are shown, and the summary.
examines() {
    /uringstatic doctor --engine "$engine" > /tmp/said 2>&1
    code=$?
    grep -E '^(warning|fault|[0-9]+ fault)' /tmp/said | sed 's/^/    /' > /dev/console
    [ $code -eq 0 ] || { cat /tmp/said; return 1; }
}

# The sandbox is complete where the kernel has Landlock, and names it where it hasn't.
locks_down() {
    /uringstatic lockdown --engine "$engine" > /tmp/said 2>&1
    code=$?
    grep -E '^(off|part|[a-z]*:|lockdown)' /tmp/said | cut -c 1-200 | sed 's/^/    /' > /dev/console
    if grep -q landlock /sys/kernel/security/lsm; then
        [ $code -eq 0 ] || return 1
    else
        [ $code -eq 1 ] && grep -q '^off *landlock' /tmp/said || return 1
    fi
}

no_process() {
    ! grep -l '^uringstatic' /proc/[0-9]*/comm
}

main
