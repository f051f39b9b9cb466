#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Taltun in one command: installs what is missing, builds, joins two nodes in two network namespaces
# by a veth pair, sends traffic through the tunnel, prints what it saw, and cleans up.
#
# usage: sudo scripts/demo.sh [--seconds S] [--no-setup]
#        sudo scripts/demo.sh mesh [--no-setup]    a hub, a gateway, two laptops behind NATs
set -u

seconds=4 setup=1 mesh=
while [ $# -gt 0 ]; do
	case $1 in
	mesh) mesh=1 ;;
	--seconds) seconds=${2:?} && shift ;;
	--no-setup) setup= ;;
	-h | --help) sed -n '4,8s/^# \{0,1\}//p' "$0" && exit 0 ;;
	*) sed -n '4,8s/^# \{0,1\}//p' "$0" >&2 && exit 64 ;;
	esac
	shift
done
case $seconds in
*[!0-9]* | 0* | '') echo "demo: --seconds wants a whole number above 0" >&2 && exit 64 ;;
esac

root=$(cd "$(dirname "$0")/.." && pwd)
if [ "$(id -u)" -ne 0 ]; then
	echo "demo: namespaces and TUN devices need root: sudo $0" >&2
	exit 77
fi
if [ ! -c /dev/net/tun ]; then
	echo "demo: /dev/net/tun is missing (modprobe tun, or give the container the device)" >&2
	exit 77
fi

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi
step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*"; }

build() {
	local log
	log=$(mktemp /tmp/taltun-build.XXXXXX)
	if ! nice make -C "$root" -j "$(nproc)" all >"$log" 2>&1; then
		echo "demo: the build failed; the end of $log:" >&2
		tail -n 25 "$log" >&2
		exit 1
	fi
	rm -f "$log"
}

if [ -n "$setup" ]; then
	step "checking what is installed"
	"$root/scripts/setup.sh" demo || exit 1
fi
step "building"
build

if [ -n "$mesh" ]; then
	. "$root/scripts/demo-mesh.bash"
	exit
fi
. "$root/tests/bench/lib.sh"

# Keys as an operator makes them.
make_keys() {
	local n
	for n in a b; do
		(umask 077 && taltun genkey >"$TT_WORK/$n.key") &&
			taltun pubkey <"$TT_WORK/$n.key" >"$TT_WORK/$n.pub" || return 1
	done
}

# The first echo waits for the handshake; what it takes longer than others is the handshake. Where
# the daemon timed its own handshake, that is the better number.
handshake_ms() {
	local told
	told=$(in_ns a taltun status --json 2>/dev/null |
		jq -r '[.. | objects | .handshake_rtt_us? // empty | select(. > 0)] | first // empty' 2>/dev/null)
	awk -v t="${told:-0}" -v first="$1" -v usual="$2" 'BEGIN {
		print (t > 0 ? t / 1000 : (first > usual ? (first - usual) / 1000 : 0)) }'
}

ms_since() { awk -v a="$1" -v b="${EPOCHREALTIME/[.,]/}" 'BEGIN { print (b - a) / 1000 }'; }

# row WHAT VALUE UNIT FORMAT [PLAIN-VETH-VALUE]
row() {
	local beside=
	[ -z "${5:-}" ] || beside=$(printf "(plain veth: $4 %s)" "$5" "$3")
	# shellcheck disable=SC2059 # the format is ours
	printf "  %-26s $bold$4$plain %-8s %s\n" "$1" "$2" "$3" "$beside"
}

fail_demo() {
	echo "demo: $*" >&2
	show_logs >&2
	exit 1
}

step "two namespaces, one veth pair"
bench_topology
make_keys || fail_demo "taltun genkey or pubkey failed"
cat <<END

     namespace a                              namespace b
     10.99.0.1 --------------- veth --------------- 10.99.0.2
     10.77.0.1 ~~~~~~~~~~~ Taltun tunnel ~~~~~~~~~~ 10.77.0.2

END

step "the veth pair alone, for comparison"
contender_start veth || fail_demo "no traffic over the veth pair"
veth_ping=$(measure_ping_idle)
veth_tcp=$(measure_tcp "$seconds")
veth_udp=$(measure_udp_flood "$seconds" 1372)
contender_stop

step "starting taltund in both"
from=${EPOCHREALTIME/[.,]/}
contender_launch taltun || fail_demo "taltund did not start"
first_us=$(ping_us 50 1)
wait_for 15 can_ping a "$inner" || fail_demo "the nodes do not reach each other"
first_packet=$(ms_since "$from")
step "ping, one TCP stream, UDP"
tunnel_ping=$(measure_ping_idle)
tunnel_tcp=$(measure_tcp "$seconds")
tunnel_udp=$(measure_udp_flood "$seconds" 1372)

echo
row "start to first packet" "$first_packet" ms %8.1f
row "handshake" "$(handshake_ms "$first_us" "$tunnel_ping")" ms %8.2f
row "ping, median" "$tunnel_ping" us %8.0f "$veth_ping"
row "TCP, one stream" "$tunnel_tcp" Mbit/s %8.0f "$veth_tcp"
row "UDP 1372 bytes, received" "$tunnel_udp" kpps %8.1f "$veth_udp"
echo
step "taltun status in a"
in_ns a taltun status || fail_demo "taltun status failed"
echo
step "cleaning up"
contender_stop
