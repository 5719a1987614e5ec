#!/usr/bin/env bash
# Checks the server on other kernels than the running one: boots each in qemu, by software
# emulation, with an initramfs that has the program, a site, busybox and tests/kernels-init.sh,
# which does the checks. Prints a line for each check and a summary; exits with 1 if a check failed.
# Installs qemu, busybox and cpio with apt-get; installs no kernel, but unpacks the packages of
# Debian and Ubuntu.
#
# usage: kernels.sh [NAME...]    names from the table below; all by default
#
# Kernels are kept in target/kernels until that folder is deleted. One that can't be downloaded is
# skipped with a line that says so, except for 6.1, the oldest for which io_uring is promised.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

# Name, the engine that `auto` has to choose, and where the kernel is from: a suite of Debian, or a
# path in Ubuntu's pool with the SHA-256 of the package, since Debian has no key for Ubuntu's lists.
kernels="
4.18    epoll     ubuntu linux-signed-hwe/linux-image-4.18.0-25-generic_4.18.0-25.26~18.04.1_amd64.deb 5aa66e12e25b091d0cedb1eeaa66235bdb7d9889a484daec1f9e908d92beddef
5.10    epoll     debian bullseye
5.15    epoll     ubuntu linux-signed/linux-image-5.15.0-25-generic_5.15.0-25.25_amd64.deb ad56f8c442a54d4f5ff2dff010d00321d53e32b543f3a92f3ba4e042d20a71da
6.1     io_uring  debian bookworm
6.12    io_uring  debian trixie
newest  io_uring  debian trixie-backports
"

# How long one machine may take; measured are 10 to 20 seconds.
boot_seconds=180

main() {
    install_missing qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio curl:curl
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    folder=${CARGO_TARGET_DIR:-target}/kernels
    mkdir -p "$folder"
    build
    local name engine source
    while read -r name engine source; do
        [ -n "$name" ] && is_wanted "$name" "$@" || continue
        # shellcheck disable=SC2086
        if [ -e "$folder/$name" ] || fetch "$name" $source; then
            boot "$name" "$engine"
        elif [ "$name" = 6.1 ]; then
            check "Linux $name: its package" false
        else
            echo "-     Linux $name: SKIPPED, its package can't be downloaded ($source)"
        fi
    done <<< "$kernels"
    summary
}

is_wanted() {
    local name=$1 wanted
    shift
    [ $# -gt 0 ] || return 0
    for wanted in "$@"; do
        [ "$wanted" != "$name" ] || return 0
    done
    return 1
}

# The program without shared libraries, in the profile whose dependencies `cargo test` has compiled,
# and what it is checked with.
build() {
    cargo rustc --bin uringstatic -- -C target-feature=+crt-static
    strip -o "$work/uringstatic" "${CARGO_TARGET_DIR:-target}/debug/uringstatic"
    make_initramfs "$work/uringstatic" "$(command -v busybox)"
}

# Puts a kernel into the folder.
fetch() {
    local name=$1 from=$2
    shift 2
    echo "fetching Linux $name"
    rm -rf "$work/package"
    mkdir "$work/package"
    if "fetch_from_$from" "$@"; then
        dpkg -x "$work"/package/*.deb "$work/package/files"
        find "$work/package/files" -name 'vmlinuz*' -type f -exec mv {} "$folder/$name" \;
    fi
    [ -e "$folder/$name" ]
}

fetch_from_ubuntu() {
    local path=$1 sum=$2 package=$work/package/kernel.deb
    curl -sS --fail --max-time 120 -o "$package" "http://archive.ubuntu.com/ubuntu/pool/main/l/$path" &&
        echo "$sum  $package" | sha256sum --check --quiet
}

# By apt, which checks signatures, with lists of its own: the machine's sources stay as they are.
# The package of a suite's kernel names the package with its version; since 7.x that one has no
# files, but has the kernel in a third.
fetch_from_debian() {
    local lists=$work/lists-$1 image
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$lists"/{lists,cache}/partial
    echo "deb [arch=amd64 target=Packages signed-by=$key] http://deb.debian.org/debian $1 main" > "$lists/sources"
    local apt=(-o "Dir::Etc::sourcelist=$lists/sources" -o Dir::Etc::sourceparts=- -o "Dir::Cache=$lists/cache"
        -o "Dir::State::lists=$lists/lists" -o APT::Sandbox::User=root)
    apt-get "${apt[@]}" -qq update || return 1
    image=$(apt-cache "${apt[@]}" show linux-image-cloud-amd64 |
        sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*-cloud-amd64\).*/\1/p' | head -n 1)
    [ -n "$image" ] || return 1
    local binary=linux-binary-${image#linux-image-}
    if [ -n "$(apt-cache "${apt[@]}" show "$binary" 2> /dev/null)" ]; then image=$binary; fi
    (cd "$work/package" && apt-get "${apt[@]}" -qq download "$image")
}

boot() {
    local name=$1 engine=$2 log=$work/$1.log began=$SECONDS
    timeout --foreground "$boot_seconds" qemu-system-x86_64 -accel tcg -cpu max -smp 2 -m 512 -nodefaults -no-reboot \
        -display none -monitor none -serial stdio -kernel "$folder/$name" -initrd "$work/initramfs" \
        -append "console=ttyS0 quiet panic=-1 expect=$engine" < /dev/null > "$log" 2>&1 || true
    checks_of_machine "Linux $name" "$log"
    check "Linux $name: all checks done, in $((SECONDS - began)) s" grep -qx end "$log.lines"
}

main "$@"
