#!/usr/bin/env bash
# Checks the server in real containers, run by podman and runc: with the default seccomp profile,
# which forbids io_uring, and with others; as root in the container and as a user without
# capabilities on a read-only file system. Prints a line for each check and a summary; exits with 1
# if a check failed. Has to be run by root, or by a user that may use sudo. Installs podman and runc
# with apt-get; where that fails, it says so and checks nothing.
#
# usage: container.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh
source tests/podman.sh

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    if ! install_missing podman:podman runc:runc curl:curl ip:iproute2 python3:python3; then
        echo "SKIPPED: podman and runc can't be installed"
        return
    fi
    work=$(mktemp -d)
    trap 'remove_groups; rm -rf "$work"' EXIT
    # A signal to all processes of the terminal: the containers end first.
    trap 'exit 130' INT TERM
    # The process that reads the site is not root.
    chmod 755 "$work"
    build
    in_own_namespaces "$work"
}

# A binary without shared libraries, in the profile whose dependencies `cargo test` has compiled:
# only the program is linked once more, which takes seconds. tests/image.sh has that of
# deploy/container/build.
build() {
    cargo rustc --bin uringstatic -- -C target-feature=+crt-static
    cp "${CARGO_TARGET_DIR:-target}/debug/uringstatic" "$work/"
    strip "$work/uringstatic"
    "$work/uringstatic" image --output "$work/uringstatic.tar"
    make_site
}

# Two releases, and a link to one of them. The file is longer than what both sockets of a connection
# can hold (tcp(7), tcp_wmem and tcp_rmem), so that its response is under way until its reader ends.
make_site() {
    mkdir -p "$work/srv"/{blue,green}
    echo '<h1>blue</h1>' > "$work/srv/blue/index.html"
    echo '<h1>green</h1>' > "$work/srv/green/index.html"
    head -c 24M /dev/urandom | tee "$work/srv/blue/large.bin" > "$work/srv/green/large.bin"
    ln -s blue "$work/srv/current"
}

inside() {
    work=$1
    page=src/site/page.html
    enter_namespaces
    import_image
    make_profiles

    local profile user
    for profile in default unconfined; do
        for user in root nobody; do
            serves_a_page $profile $user
            serves_a_folder $profile $user
        done
    done
    # What the manual shows, and other ways to refuse a call.
    serves_a_page permitted nobody
    serves_a_page refused root
    serves_a_page killed root
    serves_as_a_number
    check "default, --engine io_uring: an error that says why" refuses default \
        'a seccomp filter' --engine io_uring
    check "no memory for a ring: an error, and no other engine" refuses starved 'memory'
    for profile in default unconfined; do
        check "$profile: the doctor finds no fault, and names the engine" examines $profile
        check "$profile: the sandbox is complete without TCP Fast Open" locks_down $profile
    done
    as_a_newcomer
    check "no process is left" no_process
    remove_groups
    check "no control group is left" no_new_group
    summary
}

# By the README's command.
import_image() {
    local command
    command=$(from_readme 'docker load')
    eval "$command" > "$work/load.out" 2>&1 || { cat "$work/load.out"; return 1; }
    image=$(sed -n 's/^Loaded image: *//p' "$work/load.out")
}

# A command of the README with podman for docker, and with the image that this script has made.
from_readme() {
    sed -n "/^\\$ .*$1/ { s|^\\$ ||; s|docker|podman|; s|target/container|$work|; p }" README.md
}

# Profiles beside podman's default and none: those calls permitted, as docs/operating.md shows, and
# refused in three ways, everything else permitted.
make_profiles() {
    python3 - "$work" << 'PYTHON'
import json, pathlib, sys

work = pathlib.Path(sys.argv[1])
calls = {"names": ["io_uring_setup", "io_uring_enter", "io_uring_register"]}
standard = json.loads(pathlib.Path("/usr/share/containers/seccomp.json").read_text())
standard["syscalls"].append({**calls, "action": "SCMP_ACT_ALLOW"})
(work / "permitted.json").write_text(json.dumps(standard))
for name, action in {
    "refused": {"action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    "starved": {"action": "SCMP_ACT_ERRNO", "errnoRet": 12},
    "killed": {"action": "SCMP_ACT_KILL_PROCESS"},
}.items():
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{**calls, **action}]}
    (work / f"{name}.json").write_text(json.dumps(profile))
PYTHON
}

# Options of podman for a profile: unconfined, or the name of a file.
options_of_profile() {
    case $1 in
        default) options=() ;;
        unconfined) options=(--security-opt seccomp=unconfined) ;;
        *) options=(--security-opt "seccomp=$work/$1.json") ;;
    esac
}

options_of_user() {
    case $1 in
        root) options+=(--user 0:0) ;;
        nobody) options+=(--cap-drop all --read-only) ;;
    esac
}

# The engine that a profile leaves, in the ready line, and the reason, in a line of its own.
expect_engine() {
    engine=epoll
    case $1 in
        default) reason='io_uring_setup is refused by a seccomp filter .ENOSYS' ;;
        refused) reason='io_uring_setup is refused by a seccomp filter .EPERM' ;;
        killed) reason='a seccomp filter kills .*SIGSYS' ;;
        unconfined | permitted) engine='io_uring with' reason='' ;;
    esac
}

serves_a_page() {
    local name="$1, $2, a page"
    options_of_profile "$1"
    options_of_user "$2"
    expect_engine "$1"
    run_container "$name" --network host "${options[@]}" "$image" --listen 127.0.0.1:0 || return 0
    check "$name: byte-exact" same_page
    # A connection that is kept alive is closed by the drain.
    exec 9<> "/dev/tcp/127.0.0.1/$(port)"
    printf 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n' >&9
    read -r _ <&9
    podman kill --signal TERM server > /dev/null
    check "$name: drains" ends
    exec 9>&-
    remove_container
}

# The image has no user database, in which a number could be looked up.
serves_as_a_number() {
    options_of_profile unconfined
    options_of_user root
    expect_engine unconfined
    run_container "--user 1000:1000" --network host "${options[@]}" "$image" --listen 127.0.0.1:0 \
        --user 1000:1000 || return 0
    check "--user 1000:1000: byte-exact" same_page
    check "--user 1000:1000: podman stop" ends_by_stop
    remove_container
}

serves_a_folder() {
    local name="$1, $2, a folder by two workers"
    options_of_profile "$1"
    options_of_user "$2"
    expect_engine "$1"
    switch_to blue
    run_container "$name" --network host --volume "$work/srv:/srv/www:ro" "${options[@]}" "$image" \
        --listen 127.0.0.1:0 --root /srv/www/current --workers 2 || return 0
    check "$name: byte-exact" same_file blue/index.html
    switch_to green
    podman kill --signal HUP server > /dev/null
    check "$name: reloads" says 'reloaded: generation 2 '
    check "$name: the new release, byte-exact" same_file green/index.html
    check "$name: drains, and completes a response under way" drains_under_way
    remove_container
}

switch_to() {
    ln -s "$1" "$work/srv/next"
    mv -T "$work/srv/next" "$work/srv/current"
}

# The README's own commands: the first that it shows, in the network that a container gets if none
# is asked for, and the one for containers, through its published port.
as_a_newcomer() {
    local arguments address process
    arguments=$(sed -n 's/^\$ cargo run --release -- \([^#]*[^# ]\) *#.*/\1/p' README.md)
    address=$(sed -n 's/^\$ cargo run --release.*\(http:[^ ]*\)$/\1/p' README.md)
    expect_engine default
    # shellcheck disable=SC2086
    run_container "a newcomer: $arguments" "$image" $arguments || return 0
    process=$(podman inspect --format '{{.State.Pid}}' server)
    check "a newcomer: a page at the README's address" same_page_in "$process" "$address"
    check "a newcomer: podman stop" ends_by_stop
    remove_container

    arguments=$(from_readme 'docker run --publish')
    arguments=${arguments#podman run }
    # shellcheck disable=SC2086
    run_container "a newcomer: $arguments" $arguments || return 0
    url=$address
    check "a newcomer: a page through the published port" same_page
    check "a newcomer: podman stop" ends_by_stop
    remove_container
}

# Starts a container called `server`; `url` is its first address. Fails if it doesn't get ready.
run_container() {
    local name=$1 before=$failed
    shift
    podman run --detach --name server "$@" > "$work/run.out" 2>&1 || true
    check "$name: starts by $engine" says " ready on .*; $engine"
    [ -z "$reason" ] || check "$name: says why" says "^uringstatic: engine epoll: $reason"
    url=$(podman logs server 2>&1 | sed -n 's/.* ready on \([^ ]*\).*/\1/p')
    [ "$failed" -eq "$before" ] && return
    remove_container
    return 1
}

remove_container() {
    podman rm --force server > /dev/null 2>&1 || true
}

# Waits for a line of the server.
says() {
    local tries
    for tries in $(seq 300); do
        if podman logs server 2>&1 | grep -qE "$1"; then return; fi
        # A server that has ended says nothing more.
        [ "$tries" -lt 10 ] || is_running || break
        sleep 0.1
    done
    cat "$work/run.out"
    podman logs server 2>&1
    return 1
}

is_running() {
    [ "$(podman inspect --format '{{.State.Running}}' server)" = true ]
}

port() {
    local rest=${url#http://127.0.0.1:}
    echo "${rest%/}"
}

same_page() {
    curl -sS --fail --max-time 20 "$url" | cmp - "$page"
}

# The address belongs to the network of a process.
same_page_in() {
    nsenter --net="/proc/$1/ns/net" curl -sS --fail --max-time 20 "$2" | cmp - "$page"
}

same_file() {
    curl -sS --fail --max-time 20 "${url}" | cmp - "$work/srv/$1"
}

# Waits for the end of the server. Its last line has the totals; a worker that its sandbox killed is
# in it, and was replaced.
ends() {
    local code
    code=$(timeout 30 podman wait server) || true
    podman logs server > "$work/said" 2>&1
    [ "$code" = 0 ] && tail -n 1 "$work/said" | grep -q 'served [0-9]* connections.*; errors: none$' ||
        { echo "exit code ${code:-unknown}"; cat "$work/said"; return 1; }
}

# A reader that has the first bytes takes the others only after the signal.
drains_under_way() {
    mkfifo "$work/body"
    curl -sS --fail --max-time 30 "${url}large.bin" > "$work/body" &
    exec 8< "$work/body"
    rm "$work/body"
    dd bs=1 count=16 status=none <&8 > "$work/got"
    podman kill --signal TERM server > /dev/null
    refuses_connections
    is_running || { echo "it ended before the response did"; return 1; }
    cat <&8 >> "$work/got"
    exec 8<&-
    cmp "$work/got" "$work/srv/green/large.bin"
    ends
}

# The drain begins by closing the listeners.
refuses_connections() {
    local tries
    for tries in $(seq 300); do
        (exec 7<> "/dev/tcp/127.0.0.1/$(port)") 2> /dev/null || return 0
        sleep 0.1
    done
    echo "connections are still accepted"
    return 1
}

# The server ends by itself, before podman kills it, which it does after 10 seconds.
ends_by_stop() {
    podman stop server > /dev/null
    ends
}

refuses() {
    local profile=$1 cause=$2 code=0
    shift 2
    options_of_profile "$profile"
    timeout 60 podman run --name server "${options[@]}" "$image" "$@" > "$work/said" 2>&1 || code=$?
    remove_container
    grep -qE "$cause" "$work/said" && [ $code -eq 1 ] ||
        { echo "exit code $code"; cat "$work/said"; return 1; }
}

examines() {
    options_of_profile "$1"
    expect_engine "$1"
    podman run --rm "${options[@]}" "$image" doctor > "$work/said" && grep -q "${engine% with}" "$work/said" ||
        { cat "$work/said"; return 1; }
}

locks_down() {
    options_of_profile "$1"
    podman run --rm --sysctl net.ipv4.tcp_fastopen=2 "${options[@]}" "$image" lockdown
}

main "$@"
