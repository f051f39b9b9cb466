#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Installs what is missing on Debian 12 to build, test and measure Taltun. Asks dpkg first, so that
# a second run is instant and needs neither root nor a network.
#
# usage: scripts/setup.sh [--list] [build|demo|test|bench|all]...      (default: build)
set -u

build_packages="build-essential pkg-config libsodium-dev libssl-dev libnl-3-dev libnl-route-3-dev
	libuv1-dev libjansson-dev libtomlplusplus-dev libcap-ng-dev clang llvm libbpf-dev libxdp-dev
	libprotobuf-c-dev protobuf-c-compiler libsqlite3-dev libmicrohttpd-dev libncurses-dev"
traffic_packages="wireguard-tools iperf3 nftables iproute2 ethtool iputils-ping jq procps"
check_packages="git clang lld libclang-rt-14-dev clang-format libcunit1-dev wireguard-go valgrind
	shellcheck python3 socat netcat-openbsd tcpdump strace conntrack bc mandoc kmod bpftool xxd coturn
	sqlite3 testssl.sh openssl systemd dpkg-dev lintian mmdebstrap fail2ban python3-yaml prometheus
	tmux"
rival_packages="wireguard-go nebula fastd openvpn openssl"

usage() { sed -n '4,7s/^# \{0,1\}//p' "$0"; }

# The packages of one mode, one a line.
packages_of() {
	local all=$build_packages
	case $1 in
	build) ;;
	demo) all+=" $traffic_packages" ;;
	test) all+=" $traffic_packages $check_packages" ;;
	bench) all+=" $traffic_packages $rival_packages" ;;
	all) all+=" $traffic_packages $check_packages $rival_packages" ;;
	esac
	# The multi-buffer crypto library exists for x86 only; without it libsodium does the work.
	case $(uname -m) in
	x86_64 | amd64) all+=" libipsec-mb-dev" ;;
	esac
	tr -s ' \t' '\n' <<<"$all"
}

is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

is_debian() {
	[ -r /etc/os-release ] && command -v dpkg-query >/dev/null && command -v apt-get >/dev/null &&
		grep -qE '^ID(_LIKE)?=.*debian' /etc/os-release
}

# apt's output goes to a log; what the reader sees is one line a package.
apt_install() {
	local log=$1
	shift
	DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y --no-install-recommends \
		-o Dpkg::Use-Pty=0 "$@" 2>&1 | tee -a "$log" |
		awk '
			/^Need to get/ { print "setup:   " $0 }
			/^Setting up/ { printf "setup:   %s\n", $3; fflush() }
			/^E: / { print "setup: " $0 }'
	return "${PIPESTATUS[0]}"
}

modes=() list=
for arg in "$@"; do
	case $arg in
	--list) list=1 ;;
	build | demo | test | bench | all) modes+=("$arg") ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 64 ;;
	esac
done
[ ${#modes[@]} -gt 0 ] || modes=(build)

mapfile -t wanted < <(for m in "${modes[@]}"; do packages_of "$m"; done | sort -u)
if [ -n "$list" ]; then
	printf '%s\n' "${wanted[@]}"
	exit 0
fi
if ! is_debian; then
	echo "setup: this is not Debian, so nothing is installed. Needed (names as in Debian 12):"
	printf '%s\n' "${wanted[@]}" | column -c 90 2>/dev/null || printf '%s\n' "${wanted[@]}"
	exit 0
fi

missing=()
for p in "${wanted[@]}"; do
	is_installed "$p" || missing+=("$p")
done
if [ ${#missing[@]} -eq 0 ]; then
	echo "setup: everything for '${modes[*]}' is installed"
	exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "setup: run as root to install: ${missing[*]}" >&2
		exit 77
	fi
	as_root=sudo
fi
log=$(mktemp /tmp/taltun-setup.XXXXXX)
echo "setup: installing ${#missing[@]} packages for '${modes[*]}': ${missing[*]}"
echo "setup: apt-get update"
if ! DEBIAN_FRONTEND=noninteractive $as_root apt-get update -qq >"$log" 2>&1; then
	# Old package lists may still do; apt-get install is the judge.
	echo "setup: apt-get update failed; trying with the lists at hand"
fi
if ! apt_install "$log" "${missing[@]}"; then
	echo "setup: installing failed; the end of $log:" >&2
	tail -n 15 "$log" >&2
	exit 1
fi
# A test wants the program; the server that its package starts at boot is nobody's wish.
case " ${missing[*]} " in
*" coturn "* | *" fail2ban "* | *" prometheus "*)
	if [ -d /run/systemd/system ]; then
		for server in coturn fail2ban prometheus; do
			case " ${missing[*]} " in
			*" $server "*) $as_root systemctl --quiet disable --now "$server" ;;
			esac
		done
	fi
	;;
esac
rm -f "$log"
echo "setup: done"
