#!/usr/bin/env bash
# Measures the memory of all processes of the service by their proportional set size, which counts a
# page that several processes share once altogether (proc(5), smaps_rollup). The site has to be in
# memory once: at start, under load, and after a reload. Prints a table and a summary; exits with 1
# if a check failed. Has to be root, if the server is started as root.
#
# usage: memory.sh [MIB]    the size of the site, 256 by default
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

# What a process may have beside the site, in MiB: slots, rings, and the code that all share.
each=8

main() {
    local mib=${1:-256} workers=4
    prepare
    loader=${program%static}load
    mkdir "$work/site"
    # Bytes that can't be merged or left out; the index of the site is small.
    head -c "${mib}M" /dev/urandom > "$work/site/large.bin"
    echo '<h1>small</h1>' > "$work/site/index.html"
    chmod -R a+rX "$work"

    printf '%-34s %10s %12s %10s\n' "processes ($mib MiB site)" "Pss MiB" "beside site" "processes"
    local options=(--listen 127.0.0.1:0 --root "$work/site" --compress off --site-bytes 4g)
    start single "${options[@]}" --single-process
    measure single "a single process"
    end single
    start one "${options[@]}" --workers 1
    measure one "1 worker"
    end one
    start several "${options[@]}" --workers $workers
    measure several "$workers workers, at start"
    check "$workers workers: the site once" is_once
    "$loader" -n 50000 -c 200 --quiet --processes 1 "$url" > /dev/null
    "$loader" -n 8 -c 4 --quiet --processes 1 --expect "$work/site/large.bin" "${url}large.bin" > /dev/null
    measure several "$workers workers, after 50,008 requests"
    check "$workers workers under load: the site once" is_once
    # A connection that was used has its place in the old generation for the grace.
    exec 9<> "/dev/tcp/127.0.0.1/$(port)"
    printf 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n' >&9
    read -r _ <&9
    kill -HUP "${pids[several]}"
    await "the reload" grep -q "reloaded: generation 2 " "$work/several.err"
    measure several "$workers workers, two generations"
    exec 9>&-
    await "the end of the old generation" is_one_generation $workers
    measure several "$workers workers, after the reload"
    check "$workers workers after the reload: the site once" is_once
    end several
    summary
}

# All processes of a server.
processes() {
    local parent=${pids[$1]} stat
    echo "$parent"
    for stat in /proc/[0-9]*/stat; do
        # The parent is the second field after the name, which has parentheses.
        sed -n "s/^\([0-9]*\) (.*) [^Z] $parent .*/\1/p" "$stat" 2> /dev/null || true
    done
}

measure() {
    local pid total=0 pss
    count=0
    for pid in $(processes "$1"); do
        pss=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2> /dev/null) || continue
        [ -n "$pss" ] || continue
        total=$((total + pss))
        count=$((count + 1))
    done
    site=$(($(stat -c %s "$work/site/large.bin") / 1024))
    beside=$(((total - site) / 1024))
    printf '%-34s %10d %12d %10d\n' "$2" $((total / 1024)) $beside $count
}

port() {
    local rest=${url#http://127.0.0.1:}
    echo "${rest%/}"
}

is_once() {
    [ "$beside" -le $((count * each)) ] || { echo "$beside MiB beside the site"; return 1; }
}

is_one_generation() {
    [ "$(processes several | wc -l)" -eq $(($1 + 2)) ]
}

main "$@"
