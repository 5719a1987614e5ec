#!/usr/bin/env bash
# Checks `uringstatic image` and deploy/container/build: archives by readers of others (Python's
# tarfile, skopeo, umoci), and containers of them, run by podman and runc: as the image's user and as
# root, read-only, without capabilities, with podman's default seccomp profile and with
# deploy/container/seccomp.json. Prints a line for each check and a summary; exits with 1 if a check
# failed. Has to be run by root, or by a user that may use sudo.
#
# usage: image.sh [--rebuild]
#
# With --rebuild, a clone in another folder is built, too, and its archive has to be the same; that
# takes as long as the first build, some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh
source tests/podman.sh

main() {
    if [ "${1:-}" = --inside ]; then
        inside "$2"
        return
    fi
    if ! install_missing podman:podman runc:runc skopeo:skopeo umoci:umoci curl:curl ip:iproute2 \
        python3:python3 git:git; then
        echo "SKIPPED: podman, runc, skopeo and umoci can't be installed"
        return
    fi
    work=$(mktemp -d)
    trap 'remove_groups; rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM
    # The process that reads the site is not root.
    chmod 755 "$work"
    program=$(realpath "${CARGO_TARGET_DIR:-target}")/container/uringstatic
    deploy/container/build --output "$work/program.tar"
    make_site "$work/site"
    of_the_program "${1:-}"
    of_a_site
    summary_so_far
    in_own_namespaces "$work"
}

# The checks of both halves are one sum.
summary_so_far() {
    echo "passed=$passed failed=$failed" > "$work/counts"
}

# Files of all sorts: everything that the server reads, and what it doesn't.
make_site() {
    local site=$1 long
    mkdir -p "$site"/{docs,.well-known,.git,empty}
    echo '<h1>home</h1>' > "$site/index.html"
    echo '<h1>docs</h1>' > "$site/docs/index.html"
    head -c 3M /dev/urandom > "$site/large.bin"
    printf '/*\n  X-Site: yes\n' > "$site/_headers"
    echo '/old /docs/ 301' > "$site/_redirects"
    echo token > "$site/.well-known/security.txt"
    echo secret > "$site/.git/config"
    echo secret > "$site/.env"
    ln -s docs/index.html "$site/link.html"
    ln -s docs "$site/folder"
    ln -s /etc/passwd "$site/outside.txt"
    ln -s .env "$site/hidden.txt"
    echo secret > "$site/unreadable.txt"
    chmod 600 "$site/unreadable.txt"
    # Names at the bounds of what a header has room for, with line ends and without UTF-8.
    long=$site/$(printf 'a%.0s' $(seq 120))/$(printf 'b%.0s' $(seq 120))
    mkdir -p "$long"
    echo long > "$long/$(printf 'c%.0s' $(seq 200)).txt"
    echo odd > "$site/$(printf 'odd\n\xff = .txt')"
    chmod -R a+rX "$site"
    [ "$(id -u)" -ne 0 ] || chmod 600 "$site/unreadable.txt"
}

# The image of the program alone.
of_the_program() {
    check "program: made twice, the archive is the same" made_again
    check "program: its archive has less than 6 MB" smaller "$work/program.tar" 6000000
    echo "      the archive has $(stat -c %s "$work/program.tar") bytes, the program $(stat -c %s "$program")"
    check "program: no path of this machine is in it" no_path
    check "program: the archive by Python" python3 tests/image.py "$work/program.tar" uringstatic
    check "program: skopeo reads both forms of the archive" inspected "$work/program.tar"
    [ "$1" != --rebuild ] || check "program: the same from a clone in another folder" rebuilt
    check "an executable with shared libraries is refused" refuses 1 "needs shared libraries" \
        --program /bin/sh --output "$work/no.tar"
    check "a name that no registry takes is refused" refuses 2 "a path has parts" \
        --tag Site --output "$work/no.tar"
    check "wrong options of the server are refused" refuses 2 "behind --: " \
        --output "$work/no.tar" -- --spwan 5
    check "SOURCE_DATE_EPOCH is the time of everything" dated
    check "seccomp.json permits what podman's default does, and io_uring" \
        deploy/container/make-seccomp --check
}

made_again() {
    deploy/container/build --output "$work/again.tar"
    cmp "$work/program.tar" "$work/again.tar"
}

smaller() {
    test "$(stat -c %s "$1")" -lt "$2"
}

no_path() {
    ! grep -aoE "(${HOME%/}|$PWD|/rustlib/src)/[[:graph:]]*" "$program" || return 1
}

rebuilt() {
    git clone --quiet . "$work/clone"
    CARGO_TARGET_DIR=$work/clone-target "$work/clone/deploy/container/build" --output "$work/clone.tar"
    cmp "$work/program.tar" "$work/clone.tar"
    rm -rf "$work/clone" "$work/clone-target"
}

inspected() {
    local form
    for form in oci docker; do
        skopeo inspect --config "$form-archive:$1" > "$work/$form.json"
    done
    python3 - "$work" << 'PYTHON'
import json, sys

oci, docker = (json.load(open(f"{sys.argv[1]}/{form}.json")) for form in ("oci", "docker"))
for image in (oci, docker):
    assert image["architecture"] == "amd64" and image["os"] == "linux", image
    config = image["config"]
    assert config["User"] == "65534:65534" and config["StopSignal"] == "SIGTERM", config
    assert config["Entrypoint"][0] == "/uringstatic" and "8080/tcp" in config["ExposedPorts"], config
    assert config["Labels"]["org.opencontainers.image.title"], config
assert oci["rootfs"] == docker["rootfs"], (oci["rootfs"], docker["rootfs"])
PYTHON
}

refuses() {
    local expected=$1 text=$2 code=0
    shift 2
    "$program" image "$@" > "$work/said" 2>&1 || code=$?
    [ "$code" -eq "$expected" ] && grep -qF -- "$text" "$work/said" ||
        { echo "exit code $code"; cat "$work/said"; return 1; }
}

dated() {
    SOURCE_DATE_EPOCH=1700000000 "$program" image --output "$work/dated.tar"
    SOURCE_DATE_EPOCH=1700000000 python3 tests/image.py "$work/dated.tar" uringstatic
    ! SOURCE_DATE_EPOCH=yesterday "$program" image --output "$work/no.tar"
}

# The image of the program and a site.
of_a_site() {
    check "site: the image is made, and names what is left out" makes_site
    check "site: a copy of the folder makes the same archive" copied
    check "site: the archive by Python" python3 tests/image.py "$work/site.tar" uringstatic srv/www
    check "site: skopeo reads both forms of the archive" inspected "$work/site.tar"
    check "site: umoci unpacks what the server would read, and no more" unpacked
    check "site: a folder without anything to serve is refused" refuses_problem
    check "site: with --strict, whatever is left out is refused" refuses 1 "outside.txt" \
        --root "$work/site" --output "$work/no.tar" -- --strict
    check "site: a name that a layer gives another meaning is refused" refuses_whiteout
    check "site: a failure leaves the file as it was" cmp "$work/site.tar" "$work/kept.tar"
    check "site: to standard output" to_stdout
}

makes_site() {
    "$program" image --root "$work/site" --tag registry.example/team/site:1 \
        --label org.opencontainers.image.revision=1f3a09b --output "$work/site.tar" > "$work/said" 2>&1
    cp "$work/site.tar" "$work/kept.tar"
    for name in outside.txt hidden.txt; do
        grep -q "left out $name" "$work/said" || { cat "$work/said"; return 1; }
    done
    ! grep -qF .env: "$work/said"
}

# With other times, owners and inodes.
copied() {
    cp -rP --no-preserve=timestamps "$work/site" "$work/copy"
    "$program" image --root "$work/copy" --tag registry.example/team/site:1 \
        --label org.opencontainers.image.revision=1f3a09b --output "$work/copy.tar"
    cmp "$work/site.tar" "$work/copy.tar"
}

# Links are files, and neither dot files nor what can't be read is there.
unpacked() {
    local layout=$work/layout expected=$work/expected
    mkdir "$layout"
    tar -C "$layout" -xf "$work/site.tar"
    umoci unpack --rootless --image "$layout:1" "$work/bundle" > /dev/null
    cp -rL "$work/site" "$expected" 2> /dev/null || true
    rm -rf "$expected"/{.git,.env,empty,outside.txt,hidden.txt,unreadable.txt}
    diff -r "$expected" "$work/bundle/rootfs/srv/www"
    cmp "$work/bundle/rootfs/uringstatic" "$program"
    [ "$(ls -A "$work/bundle/rootfs")" = $'srv\nuringstatic' ]
}

refuses_problem() {
    mkdir "$work/faulty"
    echo '<h1>a</h1>' > "$work/faulty/.hidden.html"
    refuses 1 "uringstatic check" --root "$work/faulty" --output "$work/site.tar"
}

refuses_whiteout() {
    mkdir -p "$work/whiteout/.well-known"
    echo a > "$work/whiteout/.well-known/.wh..wh..opq"
    refuses 1 "begins with .wh." --root "$work/whiteout" --output "$work/site.tar"
}

to_stdout() {
    "$program" image --root "$work/site" --tag registry.example/team/site:1 \
        --label org.opencontainers.image.revision=1f3a09b --output - 2> /dev/null | cmp - "$work/site.tar"
}

inside() {
    work=$1
    source "$work/counts"
    enter_namespaces
    check "podman loads the program" loads "$work/program.tar"
    check "podman loads the site" loads "$work/site.tar"
    local profile
    for profile in default io_uring; do
        serves_the_site "$profile, as the image's user, read-only, without capabilities" \
            --read-only --cap-drop all --security-opt no-new-privileges
        serves_the_site "$profile, as root" --user 0:0
    done
    profile=default
    serves_the_program
    check "no process is left" no_process
    remove_groups
    check "no control group is left" no_new_group
    summary
}

loads() {
    podman load --input "$1" > "$work/load.out" 2>&1 || { cat "$work/load.out"; return 1; }
    sed -n 's/^Loaded image: *//p' "$work/load.out" > "$1.name"
    [ -s "$1.name" ]
}

# By podman's default profile of system calls, or by ours.
run_container() {
    local options=()
    [ "$profile" = default ] || options=(--security-opt "seccomp=deploy/container/seccomp.json")
    # Podman stores images in OCI's form, which has no health check.
    podman run --detach --name server --health-cmd '["/uringstatic", "healthcheck"]' \
        "${options[@]}" "$@" > "$work/run.out" 2>&1 || return 1
    says ' ready on ' || return 1
    ip=$(podman inspect --format '{{.NetworkSettings.IPAddress}}' server)
}

serves_the_site() {
    local name=$1 engine=epoll ip
    shift
    [ "$profile" = default ] || engine='io_uring with'
    run_container "$@" "$(cat "$work/site.tar.name")" || { check "$name: starts" fails "$work/run.out"; return; }
    check "$name: serves by ${engine% with}" says " ready on .*; $engine"
    check "$name: a file, byte-exact" same large.bin "http://$ip:8080/large.bin"
    check "$name: a link, by its content" same docs/index.html "http://$ip:8080/link"
    check "$name: _headers applies" has_field "http://$ip:8080/"
    check "$name: what isn't in the image is 404" has_status 404 "http://$ip:8080/.env"
    check "$name: healthy" podman healthcheck run server
    check "$name: podman stop" ends_by_stop
    podman rm --force server > /dev/null 2>&1
}

# Arguments replace the image's options, but not its folder; the health is asked where it is served.
serves_the_program() {
    local ip
    run_container "$(cat "$work/site.tar.name")" --listen 0.0.0.0:8888 --health-listen 127.0.0.1:9000 ||
        { check "arguments: starts" fails "$work/run.out"; return; }
    check "arguments: another port, the same folder" same docs/index.html "http://$ip:8888/docs/"
    check "arguments: healthy" podman healthcheck run server
    check "arguments: podman stop" ends_by_stop
    podman rm --force server > /dev/null 2>&1
    run_container "$(cat "$work/program.tar.name")" --listen 0.0.0.0:8080 \
        --health-listen 127.0.0.1:9000 --drain-delay 60s ||
        { check "program: starts" fails "$work/run.out"; return; }
    check "program: its page" same_page "http://$ip:8080/"
    check "program: healthy" podman healthcheck run server
    check "program: podman exec asks, too" podman exec server /uringstatic healthcheck --timeout 1s
    check "program: another process isn't a service" not_a_service
    podman kill --signal TERM server > /dev/null
    check "program: unhealthy once a drain is announced" gets_unhealthy
    podman rm --force --time 0 server > /dev/null 2>&1
}

gets_unhealthy() {
    local tries
    for tries in $(seq 100); do
        podman exec server /uringstatic healthcheck > "$work/said" 2>&1 || break
        sleep 0.1
    done
    grep -q 'the response has status 503' "$work/said"
}

fails() {
    cat "$1"
    return 1
}

not_a_service() {
    ! podman exec server /uringstatic healthcheck --pid 9999
}

says() {
    local tries
    for tries in $(seq 300); do
        if podman logs server 2>&1 | grep -qE "$1"; then return; fi
        [ "$tries" -lt 20 ] || [ "$(podman inspect --format '{{.State.Running}}' server)" = true ] || break
        sleep 0.1
    done
    podman logs server 2>&1
    return 1
}

same() {
    curl -sS --fail --max-time 20 "$2" | cmp - "$work/site/$1"
}

same_page() {
    curl -sS --fail --max-time 20 "$1" | cmp - src/site/page.html
}

has_field() {
    curl -sS --fail --max-time 20 --dump-header - --output /dev/null "$1" | grep -qi '^x-site: yes'
}

has_status() {
    [ "$(curl -sS --max-time 20 --output /dev/null --write-out '%{http_code}' "$2")" = "$1" ]
}

ends_by_stop() {
    podman stop server > /dev/null
    [ "$(podman inspect --format '{{.State.ExitCode}}' server)" = 0 ] &&
        podman logs server 2>&1 | tail -n 1 | grep -q 'served [0-9]* connections.*; errors: none$' ||
        { podman logs server 2>&1; return 1; }
}

main "$@"
