#!/usr/bin/env bash
# Checks a served folder with independent programs: curl, wget, nginx with an equivalent
# configuration, and a real site in a browser. Prints a line for each check and a summary; exits
# with 1 if a check failed. Installs missing programs as root, and fetches one package of npm.
#
# usage: site.sh [SCREENSHOT]
#
# SCREENSHOT is the file for the browser's picture, which is discarded by default.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/frame.sh

main() {
    install_missing curl:curl wget:wget nginx:nginx-light caddy:caddy chromium:chromium npm:npm
    prepare
    picture=${1:-$work/picture.png}
    site=$work/site
    make_site
    # The worker of nginx does not run as root.
    chmod -R a+rX "$work"

    start site --listen 127.0.0.1:0 --listen "unix:$work/socket" --root "$site"
    with_curl
    with_wget
    against_nginx
    in_another_encoding
    end site
    check "rules beside nginx and Caddy" tests/site-others.py "$program"
    beyond_4_gib
    in_a_browser
    summary
}

make_site() {
    mkdir -p "$site"/{docs/deep,assets,.well-known}
    echo '<h1>home</h1><a href=about.html>a</a><a href=docs/>d</a><a href=big.bin>b</a>' > "$site/index.html"
    echo '<h1>about</h1>' > "$site/about.html"
    echo '<h1>docs</h1><a href=deep/page.html>p</a><a href=a%20b.txt>s</a>' > "$site/docs/index.html"
    echo '<h1>page</h1><a href=../../assets/prose.txt>t</a>' > "$site/docs/deep/page.html"
    echo 'a space' > "$site/docs/a b.txt"
    echo '<h1>missing</h1>' > "$site/404.html"
    echo 'Contact: x' > "$site/.well-known/security.txt"
    for number in $(seq 2000); do echo "line $number of a text that compresses"; done > "$site/assets/prose.txt"
    head -c 3000000 /dev/urandom > "$site/big.bin"
    : > "$site/empty.css"
    echo '{"applinks": {}}' > "$site/apple-app-site-association"
    printf '<meta charset=Shift_JIS><title>old</title>\x93\xfa\x96\x7b\x8c\xea' > "$site/sjis.html"
    # Stored in a coding alone.
    gzip --stdout --best "$site/assets/prose.txt" > "$site/docs/alone.txt.gz"
    printf '/docs/*.gz\n  Content-Encoding: gzip\n' > "$site/_headers"
}

with_curl() {
    check "curl --compressed" same assets/prose.txt --compressed
    check "curl, gzip" decodes gzip gunzip
    check "curl, no coding" same assets/prose.txt
    check "curl --range" part_is big.bin 1000-1999 1000 1000
    check "curl --range, the end" part_is big.bin -100 2999900 100
    check "curl --continue-at" continues big.bin
    check "curl, a name with a space" same 'docs/a%20b.txt'
    check "curl, 404.html" responds 404 '<h1>missing</h1>' nothing
    check "curl -L, a folder without its slash" responds 200 '<h1>docs</h1>' docs -L
    check "curl, ETag" not_modified assets/prose.txt
    check "curl, charset of UTF-8" typed about.html 'text/html; charset=utf-8'
    check "curl, no charset of Shift_JIS" typed sjis.html text/html
    check "curl, JSON without extension" typed apple-app-site-association application/json
    check "curl, a file stored in gzip alone" typed docs/alone.txt.gz text/plain
    check "curl --compressed, a file stored in gzip alone" alone
    check "curl, ETag of a coding" not_modified assets/prose.txt --compressed
}

# Not a test of cargo: the file is sparse on the disk, but takes 5 GiB of memory when it is served,
# and an unoptimised server needs 20 s to hash it.
beyond_4_gib() {
    local site=$work/large
    local file=$site/large.bin
    mkdir "$site"
    truncate -s 5G "$file"
    printf 'across 4 GiB' | dd of="$file" oflag=seek_bytes seek=4294967290 conv=notrunc status=none
    printf 'near the end' | dd of="$file" oflag=seek_bytes seek=5368709000 conv=notrunc status=none
    chmod -R a+rX "$site"
    start large --listen 127.0.0.1:0 --root "$site" --site-bytes 6g --compress off
    check "curl --head, 5 GiB" is_long large.bin 5368709120
    check "curl --range, across 4 GiB" part_is large.bin 4294967280-4294967319 4294967280 40
    check "curl --range, the end of 5 GiB" part_is large.bin -200 5368708920 200
    check "curl, 5 GiB" is_complete large.bin
    end large
    rm -r "$site"
}

with_wget() {
    check "wget --recursive" mirrors
    check "wget --continue" wget_continues
}

# Compares status, Location and checksum of the body with nginx, request by request. Intended
# differences are listed here with their reason; any other difference fails, and so does a listed
# difference that no longer exists.
against_nginx() {
    cat > "$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log /dev/null crit;
events { worker_connections 64; }
http { access_log off; client_body_temp_path $work/b; proxy_temp_path $work/p;
 fastcgi_temp_path $work/f; uwsgi_temp_path $work/u; scgi_temp_path $work/s;
 include /etc/nginx/mime.types; charset utf-8; absolute_redirect off;
 server { listen unix:$work/nginx.sock; root $site; index index.html; error_page 404 /404.html;
  location / { try_files \$uri \$uri.html \$uri/ =404; } } }
CONF
    PATH=$PATH:/usr/sbin nginx -c "$work/nginx.conf" 2> "$work/nginx.err" &
    pids[nginx]=$!
    await "nginx" test -S "$work/nginx.sock"
    local target
    for target in / /index.html /index /about /about.html /docs/ /docs/index.html /docs/deep/page \
        '/docs/a%20b.txt' '/docs/%61%20b.txt' /assets/prose.txt /empty.css /big.bin '/?q' '/about?q' \
        /nothing /nothing/ /docs/nothing /404.html /.well-known/security.txt /docs/../about \
        '/docs/%2e%2e/about' /./about /About '/a%00' '/%zz' /docs/deep/../../about.html; do
        check "as nginx: $target" alike "$target"
    done
    check "as nginx: POST" alike /about -X POST
    check "as nginx: HEAD" alike_in_status /about --head
    check "as nginx: If-None-Match: *" alike /about -H 'If-None-Match: *'
    check "as nginx: Range: bytes=0-3" alike /about -H 'Range: bytes=0-3'
    check "as nginx: Range of an empty file" alike /empty.css -H 'Range: bytes=-1'
    check "as nginx: Range: bytes=99999-" alike_in_status /about -H 'Range: bytes=99999-'
    # 308 keeps the method, which 301 does not (RFC 9110 15.4.9).
    check "unlike nginx: a folder" differ /docs '308 docs/' '301 /docs/'
    check "unlike nginx: a folder, query" differ '/docs?a=b' '308 docs/?a=b' '301 /docs/?a=b'
    # Implementations disagree on whether an encoded slash separates segments: refused.
    check "unlike nginx: an encoded slash" differ '/docs%2findex.html' '400 ' '200 '
    # Two slashes are not equivalent to one (RFC 3986 6.2.2).
    check "unlike nginx: two slashes" differ '//about' '404 ' '200 '
    # Dot segments above the root are removed (RFC 3986 5.2.4).
    check "unlike nginx: above the root" differ '/../about' '200 ' '400 '
    check "unlike nginx: above the root, encoded" differ '/%2e%2e/about' '200 ' '400 '
    end nginx
}

# A page in Shift_JIS: a charset of the transport would take precedence over that of the page.
in_another_encoding() {
    check "a browser decodes Shift_JIS" shows_japanese
}

# A real site: Swagger UI from npm, in Debian's browser.
in_a_browser() {
    local version=5.35.0 sum=5c3b487ae5a2121b2c668d6f92b550707521876a
    local package=$work/swagger-ui-dist-$version.tgz root=$work/package
    (cd "$work" && npm pack --silent "swagger-ui-dist@$version" > /dev/null)
    echo "$sum  $package" | sha1sum --check --quiet
    tar -xzf "$package" -C "$work"
    # By default the page loads the description of an interface from another host.
    sed -i 's|url: "[^"]*"|url: "/petstore.json"|' "$root/swagger-initializer.js"
    cat > "$root/petstore.json" <<'JSON'
{"openapi": "3.0.0", "info": {"title": "Shown from one fixed buffer", "version": "1"},
 "paths": {"/pets": {"get": {"summary": "All pets", "responses": {"200": {"description": "ok"}}}}}}
JSON
    start browser --listen 127.0.0.1:0 --root "$root"
    check "a browser shows a real site" browses
    end browser
}

# Checks.

same() {
    local name=$1
    shift
    curl -sS --fail "$@" -o "$work/got" "$url$name"
    cmp "$work/got" "$site/${name//%20/ }"
}

decodes() {
    local coding=$1 program=$2
    curl -sS --fail -H "Accept-Encoding: $coding" -D "$work/head" -o "$work/got" "${url}assets/prose.txt"
    grep -qi "^content-encoding: $coding" "$work/head"
    "$program" < "$work/got" | cmp - "$site/assets/prose.txt"
}

typed() {
    local type
    type=$(curl -sS --fail -o /dev/null -w '%{content_type}' "$url$1")
    [ "$type" = "$2" ] || { echo "got $type"; return 1; }
}

alone() {
    curl -sS --fail --compressed -o "$work/got" "${url}docs/alone.txt.gz"
    cmp "$work/got" "$site/assets/prose.txt"
}

part_is() {
    local name=$1 range=$2 from=$3 count=$4
    curl -sS --fail --compressed --range "$range" -o "$work/got" "$url$name"
    part_of "$site/$name" "$from" "$count" | cmp - "$work/got"
}

# Compares the file without a copy on the disk.
is_complete() {
    curl -sS --fail "$url$1" | cmp - "$site/$1"
}

is_long() {
    curl -sS --fail --head "$url$1" | grep -i "^content-length: $2.$"
}

continues() {
    head -c 1000000 "$site/$1" > "$work/got"
    curl -sS --fail --continue-at - -o "$work/got" "$url$1"
    cmp "$work/got" "$site/$1"
}

responds() {
    local status=$1 text=$2 name=$3 got
    shift 3
    got=$(curl -sS "$@" -o "$work/got" -w '%{http_code}' "$url$name")
    [ "$got" = "$status" ] || { echo "got $got"; return 1; }
    grep -qF "$text" "$work/got"
}

not_modified() {
    local name=$1
    shift
    curl -sS --fail "$@" --etag-save "$work/etag" -o /dev/null "$url$name"
    [ "$(curl -sS "$@" --etag-compare "$work/etag" -o /dev/null -w '%{http_code}' "$url$name")" = 304 ]
}

mirrors() {
    (cd "$work" && wget -q --recursive --level=9 --no-host-directories -P mirror "$url")
    local file
    for file in index.html about.html docs/index.html docs/deep/page.html 'docs/a b.txt' \
        assets/prose.txt big.bin; do
        cmp "$work/mirror/$file" "$site/$file"
    done
}

wget_continues() {
    head -c 5000 "$site/big.bin" > "$work/big.bin"
    (cd "$work" && wget -q --continue "${url}big.bin")
    cmp "$work/big.bin" "$site/big.bin"
}

# Prints status and Location; the body is left in $work/got.
answer() {
    local where=$1 target=$2 status
    shift 2
    status=$(curl -sS --path-as-is "$@" -D "$work/head" -o "$work/got" -w '%{http_code}' \
        --unix-socket "$where" "http://a$target")
    echo "$status $(sed -n 's/^[Ll]ocation: \([^\r]*\).*/\1/p' "$work/head")"
}

ask_both() {
    ours=$(answer "$work/socket" "$@")
    our_sum=$(sha1sum < "$work/got")
    theirs=$(answer "$work/nginx.sock" "$@")
    their_sum=$(sha1sum < "$work/got")
}

alike() {
    alike_in_status "$@"
    # Error pages of the two servers differ.
    case $ours in 200* | 206*) [ "$our_sum" = "$their_sum" ] || { echo "bodies differ"; return 1; } ;; esac
}

alike_in_status() {
    ask_both "$@"
    [ "$ours" = "$theirs" ] || { echo "ours: $ours, nginx's: $theirs"; return 1; }
}

differ() {
    local target=$1 our_way=$2 their_way=$3
    ask_both "$target"
    [ "$ours" = "$our_way" ] && [ "$theirs" = "$their_way" ] ||
        { echo "ours: $ours, nginx's: $theirs"; return 1; }
}

shows_japanese() {
    timeout 120 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$work/profile" --dump-dom "${url}sjis.html" 2> /dev/null > "$work/dom"
    grep -q '日本語' "$work/dom" || { cat "$work/dom"; return 1; }
}

# The page has its content, and the console is empty: failed requests would be logged there.
browses() {
    local browser=(chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage
        --user-data-dir="$work/profile" --window-size=1200,900 --virtual-time-budget=20000
        --enable-logging=stderr --v=0)
    timeout 120 "${browser[@]}" --dump-dom "$url" > "$work/dom" 2> "$work/console" || true
    if grep 'CONSOLE' "$work/console"; then return 1; fi
    grep -q 'Shown from one fixed buffer' "$work/dom" || { echo "the page is empty"; return 1; }
    grep -q 'All pets' "$work/dom" || { echo "the page is incomplete"; return 1; }
    timeout 120 "${browser[@]}" --screenshot="$picture" "$url" 2> /dev/null || true
    test -s "$picture"
}

main "$@"
