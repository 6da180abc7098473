#!/usr/bin/env bash
# Sees to the tools that no language's package manager brings: `tools.sh build` (compilers) or `tools.sh test` (browser, players).
# As root on Debian it installs what is missing; otherwise it names it and ends with 1.
set -eu

case "${1:-}" in
build) wanted="cc:gcc make:make cargo:cargo node:nodejs npm:npm python3:python3" ;;
test) wanted="chromium:chromium firefox-esr:firefox-esr ffmpeg:ffmpeg nginx:nginx-light varnishd:varnish curl:curl openssl:openssl redis-server:redis-server pg_lsclusters:postgresql wrk:wrk ip:iproute2 faketime:faketime" ;;
*) echo "usage: tools.sh build|test" >&2; exit 2 ;;
esac

missing=""
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
if [ "$1" = test ] && ! command -v gst-launch-1.0 >/dev/null 2>&1; then  # 22 MB; plugins have no commands of their own
    for part in tools plugins-base plugins-good plugins-bad plugins-ugly libav nice; do missing="$missing gstreamer1.0-$part"; done
    missing="$missing python3-gi gir1.2-gst-plugins-base-1.0 gir1.2-gst-plugins-bad-1.0"
fi
if [ "$1" = build ] && command -v python3 >/dev/null; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed, this is $(python3 --version)" >&2; exit 1; }
    python3 -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "• Debian packages:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # shellcheck disable=SC2086  # one word a package
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Missing:$missing" >&2
    echo "Install them, on Debian or Ubuntu:  sudo apt-get install$missing" >&2
    [ "${missing#*cargo}" = "$missing" ] || echo "Rust 1.89 or newer is needed; rustup (https://rustup.rs) gives the newest." >&2
    exit 1
fi
