#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Two data planes in two namespaces joined by one veth pair, without the daemon.
#   twonode.sh [tcp|udp64|udp1372|ping|SHELL COMMAND in namespace a] [noseg]
#   environment: WORKERS=1 POLL=adaptive SECONDS_RUN=4 GSO_SEGS= IPERF_ARGS= TWONODE=PROGRAM
#   PERF=FILE: perf record of both sides, PERF_ONLY=a of the sender alone
set -eu
what=${1:-tcp} noseg=${2:-}
bin=${TWONODE:-$(cd "$(dirname "$0")/../.." && pwd)/build/tests/bench/twonode}
a=tta$$ b=ttb$$ t=${SECONDS_RUN:-4} pids=()
cleanup() {
	for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
	ip netns del $a 2>/dev/null || true
	ip netns del $b 2>/dev/null || true
}
trap cleanup EXIT
ip netns add $a
ip netns add $b
ip link add va netns $a type veth peer name vb netns $b
ip -n $a addr add 10.99.0.1/24 dev va
ip -n $b addr add 10.99.0.2/24 dev vb
for n in "$a va" "$b vb"; do
	# shellcheck disable=SC2086
	set -- $n
	ip -n "$1" link set "$2" up
	ip -n "$1" link set lo up
	[ -z "$noseg" ] || ip netns exec "$1" ethtool -K "$2" tx-udp-segmentation off
done
run=$((t + 3))
OWN=10.77.0.1 ip netns exec $a "$bin" ta 10.99.0.2:51820 10.77.0.2/32 a $run "${WORKERS:-1}" "${POLL:-adaptive}" &
pa=$!
OWN=10.77.0.2 ip netns exec $b "$bin" tb 10.99.0.1:51820 10.77.0.1/32 b $run "${WORKERS:-1}" "${POLL:-adaptive}" &
pb=$!
until ip -n $a link show ta >/dev/null 2>&1 && ip -n $b link show tb >/dev/null 2>&1; do sleep 0.05; done
for n in "$a ta 1" "$b tb 2"; do
	# shellcheck disable=SC2086
	set -- $n
	ip -n "$1" addr add 10.77.0."$3"/24 dev "$2"
	ip -n "$1" link set "$2" mtu 1420 up
	[ -z "${GSO_SEGS:-}" ] || ip -n "$1" link set "$2" gso_max_segs "$GSO_SEGS"
done
until ip netns exec $a ping -c1 -W1 10.77.0.2 >/dev/null; do sleep 0.1; done
[ "${PERF_ONLY:-}" != a ] || PERF_SIDE=$pa
[ -z "${PERF:-}" ] || { perf record -q -e cpu-clock -F 4000 -g -p "${PERF_SIDE:-$pa,$pb}" -o "$PERF" -- sleep "$t" 2>/dev/null & pids+=($!); }
case $what in
tcp | udp*)
	ip netns exec $b iperf3 -s -1 >/dev/null &
	pids+=($!)
	until ip netns exec $b ss -ltn | grep -q :5201; do sleep 0.05; done
	args=()
	[ "$what" = tcp ] || args=(-u -b 0 -l "${what#udp}")
	# shellcheck disable=SC2086
	ip netns exec $a iperf3 -c 10.77.0.2 -t "$t" "${args[@]}" ${IPERF_ARGS:-} | grep -E "sender|receiver|CPU"
	;;
ping) ip netns exec $a ping -i 0.01 -c 300 10.77.0.2 | sed -n 's/.*time=\([0-9.]*\) ms/\1/p' | sort -n | awk '{v[NR]=$1} END {print "ping ms: min", v[1], "median", v[int(NR/2)+1], "p99", v[int(NR*0.99)]}' ;;
*) ip netns exec $a bash -c "$what" ;;
esac
wait $pa $pb
