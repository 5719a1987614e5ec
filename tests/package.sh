#!/usr/bin/env bash
# Builds the Debian package, and installs, upgrades, removes and purges it on Debian 12 with a real
# systemd, in a container (systemd-nspawn): the upgrade under load, of which no request may be lost.
# Prints a line for each check and a summary; exits with 1 if a check failed. Has to be run by root,
# or by a user that may use sudo.
#
# usage: package.sh
#
# PROFILE=dev packages the programs of `cargo build`.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh
source tests/rootfs.sh

main() {
    if [ "${1:-}" = --inside ]; then
        in_machine "$2"
        return
    fi
    install_machine_tools
    install_missing dpkg-shlibdeps:dpkg-dev lintian:lintian python3:python3
    make_rootfs
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    mkdir "$work/packages"
    deploy/debian/build --deb-version 0.1.0-1 --output "$work/packages/old.deb"
    deploy/debian/build --deb-version 0.1.0-2 --output "$work/packages/new.deb"
    make_foreign
    in_own_machine "$work"
}

# A third version, whose loaders don't understand the supervisor of another one.
make_foreign() {
    local tree=$work/tree
    dpkg-deb --raw-extract "$work/packages/new.deb" "$tree"
    sed -i 's/^Version: .*/Version: 0.1.0-3/' "$tree/DEBIAN/control"
    mv "$tree/usr/bin/uringstatic" "$tree/usr/bin/uringstatic-3"
    cat > "$tree/usr/bin/uringstatic" << 'END'
#!/bin/sh
[ "$1" != --loader ] || { echo "a supervisor of another version" >&2; exit 2; }
exec /usr/bin/uringstatic-3 "$@"
END
    chmod 755 "$tree/usr/bin/uringstatic"
    dpkg-deb --root-owner-group --build "$tree" "$work/packages/foreign.deb" > /dev/null
    rm -r "$tree"
}

in_machine() {
    work=$1
    trap 'halt_machine' EXIT
    check "lintian: no error and no warning" lintian --fail-on error,warning --allow-root "$work/packages/old.deb"
    boot_machine --bind-ro="$work/packages:/mnt"
    files > "$work/before"
    limit
    installs
    [ "$failed" -eq 0 ] || { summary; return; }
    upgrades_under_load
    removes
    summary
}

# The limits are those that this machine's root may set (setrlimit(2)); a file that an administrator
# has written is there before the package.
limit() {
    local locked
    locked=$(ulimit -Hl)
    [ "$locked" = unlimited ] && locked=infinity || locked=${locked}K
    inside sh -ec "mkdir -p /etc/systemd/system/uringstatic.service.d
        printf '[Service]\nLimitNOFILE=%s\nLimitMEMLOCK=%s\n' $(ulimit -Hn) $locked \
            > /etc/systemd/system/uringstatic.service.d/limits.conf"
}

installs() {
    check "install" inside dpkg --install /mnt/old.deb
    check "install: enabled, and serves the example" serves 'It works'
    check "install: both units are active" inside systemctl is-active uringstatic.service uringstatic.socket
    check "install: both units are enabled" inside systemctl is-enabled uringstatic.service uringstatic.socket
    check "install: manual pages" has_manuals
    check "install: completions load" inside bash -c 'source /usr/share/bash-completion/completions/uringstatic'
    check "install: dpkg --verify" inside dpkg --verify uringstatic
    # As an administrator does it.
    inside sh -ec 'mkdir -p /srv/www && seq 20000 > /srv/www/shared.txt && cp /srv/www/shared.txt /root
        echo "<h1>own</h1>" > /srv/www/index.html
        echo "OPTIONS=--root /srv/www --workers 2 --access-log /var/log/uringstatic/access.log" > /etc/default/uringstatic
        systemctl restart uringstatic.service'
    check "own site" serves '<h1>own</h1>'
    check "access log: a line for each request" logs 1
    check "logrotate" inside logrotate --force /etc/logrotate.d/uringstatic
    inside curl -sS http://127.0.0.1/ > /dev/null
    check "logrotate: the new file goes on" logs 1
    check "logrotate: the old file is kept" inside test -s /var/log/uringstatic/access.log.1
}

# The workers become those of the new program, and the supervisor stays: the service isn't restarted.
upgrades_under_load() {
    local before
    before=$(inside systemctl show --value --property MainPID uringstatic.service)
    start_load kept --connections 20 --expect /root/shared.txt http://127.0.0.1/shared.txt
    start_load close --connections 10 --close http://127.0.0.1/shared.txt
    check "upgrade" inside dpkg --install /mnt/new.deb
    check "upgrade: the service was not restarted" test "$before" = \
        "$(inside systemctl show --value --property MainPID uringstatic.service)"
    check "upgrade: a new generation serves" status_has 'generation 2: 2 workers serve /srv/www'
    check "upgrade: of the new program" workers_are_new
    end_load "upgrade, connections kept" kept
    end_load "upgrade, --close" close
    check "upgrade: the file of options is kept" inside grep -q /srv/www /etc/default/uringstatic
    check "upgrade: own site" serves '<h1>own</h1>'
    start_load kept --connections 20 --expect /root/shared.txt http://127.0.0.1/shared.txt
    start_load close --connections 10 --close http://127.0.0.1/shared.txt
    check "upgrade to a version of other messages" inside dpkg --install /mnt/foreign.deb
    check "upgrade to other messages: restarted" test "$before" != \
        "$(inside systemctl show --value --property MainPID uringstatic.service)"
    check "upgrade to other messages: generation 1 serves" status_has 'generation 1: 2 workers serve /srv/www'
    end_load "upgrade to other messages, connections kept" kept
    end_load "upgrade to other messages, --close" close
    check "upgrade to other messages: own site" serves '<h1>own</h1>'
}

removes() {
    check "remove" inside dpkg --remove uringstatic
    check "remove: no process is left" none_runs
    check "remove: connections are refused" refuses
    check "remove: the file of options is kept" inside test -e /etc/default/uringstatic
    check "install again" inside dpkg --install /mnt/new.deb
    check "install again: with the options of before" serves '<h1>own</h1>'
    check "purge" inside dpkg --purge uringstatic
    inside rm -r /etc/systemd/system/uringstatic.service.d /srv/www /root/shared.txt
    check "purge: nothing is left" nothing_is_left
}

serves() {
    becomes fetches "$1"
}

fetches() {
    inside curl -sS --fail --max-time 20 http://127.0.0.1/ | grep -q "$1"
}

refuses() {
    ! inside curl -sS --max-time 20 http://127.0.0.1/
}

none_runs() {
    ! inside pgrep uringstatic
}

has_manuals() {
    local page
    for page in uringstatic uringload; do
        inside env MANPAGER=cat man --warnings "$page" 2>&1 | tee "$work/$page.man" | grep -q "$page"
        inside man --path "$page" | grep -q "/usr/share/man/man1/$page.1.gz"
    done
}

# Waits for so many lines of GET / in the log: they are written in batches.
logs() {
    becomes has_lines "$1"
}

has_lines() {
    [ "$(inside grep -c '"GET / HTTP/1.1" 200' /var/log/uringstatic/access.log)" -eq "$1" ]
}

status_has() {
    inside systemctl show --value --property StatusText uringstatic.service | tee "$work/status" | grep -q "$1" ||
        { cat "$work/status"; return 1; }
}

# The supervisor's program is deleted, and replaced by the program of the workers.
workers_are_new() {
    local process
    for process in $(inside pgrep -x 'uringstatic-w[01]'); do
        [ "$(inside readlink "/proc/$process/exe")" = /usr/bin/uringstatic ]
    done
    inside readlink "/proc/$(inside pgrep -x uringstatic)/exe" | grep -q deleted
}

# Files outside of what systemd and dpkg write for themselves.
files() {
    inside find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log/journal \
        -o -path /var/cache -o -path /mnt \) -prune -o -print |
        grep -v -e '^/var/lib/dpkg/' -e '^/var/log/\(dpkg\|alternatives\).log$' -e '^/var/lib/systemd/\(timesync\|random-seed\|timers\)' |
        sort
}

nothing_is_left() {
    files > "$work/after"
    local left
    left=$(comm -13 "$work/before" "$work/after" | grep -v -e '^/var/log/private$' -e '^/var/lib/logrotate')
    [ -z "$left" ] || { echo "$left"; return 1; }
}

main "$@"
