#!/bin/sh
# Make .venv and install what a target of the Makefile needs.  usage: setup.sh VENV demo|article|test
# Debian packages are installed where the user is root; otherwise one line says what is missing and how to get it.
set -eu
venv=$1
want=$2
root=$(id -u)
containers="podman runc dockerd docker nft busybox nsenter"
container_packages="podman containernetworking-plugins runc docker.io nftables busybox-static util-linux"
case $want in
demo) commands="ip ping ss" packages="iproute2 iputils-ping" extra=demo ;;
article) commands="ip ping ss $containers" packages="iproute2 iputils-ping $container_packages" extra=demo ;;
test) commands="ip ping ss curl bird birdc openssl vtysh gobgpd gobgp exabgp bgpctl debootstrap systemd-analyze setpriv $containers"
    packages="iproute2 iputils-ping curl openssl bird2 frr gobgpd exabgp openbgpd debootstrap systemd util-linux"
    packages="$packages $container_packages"
    extra=dev ;;
*) echo "usage: setup.sh VENV demo|article|test" >&2; exit 2 ;;
esac
PATH=$PATH:/usr/sbin:/sbin
export PATH

# Debian starts a daemon as soon as its package is there. Nothing of the kind is wanted: the tests start their own.
install_packages() {
    echo "Installing Debian packages: $*"
    guard=/usr/sbin/policy-rc.d
    if [ ! -e "$guard" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$guard"
        chmod +x "$guard"
        trap 'rm -f "$guard"' EXIT INT TERM
    fi
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    # shellcheck disable=SC2086
    if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "apt-get could not install: $*" >&2
        exit 1
    fi
    if [ -n "${guard:-}" ] && grep -q 'exit 101' "$guard" 2>/dev/null; then rm -f "$guard"; fi
    trap - EXIT INT TERM
}

log=$(mktemp)
missing=
for command in $commands; do
    command -v "$command" >/dev/null 2>&1 || missing="$missing $command"
done
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null 2>&1; then
    echo "$python is missing: apt-get install python3 python3-venv" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; $python is $("$python" -V 2>&1). Name another: make PYTHON=python3.12 $want" >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing="$missing python3-venv"
    packages="$packages python3-venv"
fi
if [ -n "$missing" ]; then
    if [ "$root" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        # shellcheck disable=SC2086
        install_packages $packages
    else
        case $missing in
        *python3-venv*)
            echo "Missing:$missing. Get it: sudo apt-get install $packages" >&2
            exit 1 ;;
        esac
        echo "Missing:$missing; what needs it will be left out and named. Get it: sudo apt-get install $packages" >&2
    fi
fi
# BIRD 1.6 is what Calico's is made of; its package cannot be installed beside that of BIRD 2, so that it is only unpacked.
if [ "$want" = test ] && [ ! -x .bench/bird1/usr/sbin/bird ]; then
    mkdir -p .bench
    if ! (cd .bench && apt-get -qq download bird && dpkg -x bird_1*.deb bird1 && rm -f bird_1*.deb) >"$log" 2>&1; then
        echo "BIRD 1.6 could not be fetched (apt-get download bird); tests with it will be left out and named" >&2
    fi
fi
stamp=$venv/.installed-$extra
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
    echo "Setting up $venv (once)"
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    if ! "$venv/bin/python" -m pip install --disable-pip-version-check -q -e ".[$extra]" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        echo "pip could not install the project's needs (see above); is the package index reachable?" >&2
        exit 1
    fi
    touch "$stamp"
fi
rm -f "$log"
