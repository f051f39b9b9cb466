#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A path that carries less than the TUN, direct and behind a relay header: what the kernels at both
# ends make of the answers, the fragments and the lowered MSS. The planes alone, without daemons:
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

twonode=${TT_TOOLS%/*}/bench/twonode
need_root
need_commands socat ping jq iperf3
[ -x "$twonode" ] || skip_all "needs $twonode (make tools)"

# start [NAME=VALUE]...: both planes, with this environment.
start() {
	planes=()
	bg_ns a "$TT_WORK/a.log" env "$@" "$twonode" ta 10.8.0.2:51820 10.77.0.2/32,fd77::2/128 a 60
	planes+=("$BG_PID")
	bg_ns b "$TT_WORK/b.log" env "$@" "$twonode" tb 10.8.0.1:51820 10.77.0.1/32,fd77::1/128 b 60
	planes+=("$BG_PID")
	wait_for 20 in_ns a ip link show ta && wait_for 20 in_ns b ip link show tb || return 1
	addr_add a ta 10.77.0.1/24,fd77::1/64
	addr_add b tb 10.77.0.2/24,fd77::2/64
	in_ns a ip link set ta mtu 1420 up
	in_ns b ip link set tb mtu 1420 up
	wait_for 20 can_ping a 10.77.0.2
}

stop() {
	kill_pids 1 "${planes[@]}"
	wait_for 20 ns_has_no_tun
}

ns_has_no_tun() {
	! in_ns a ip link show ta && ! in_ns b ip link show tb
}

ping_big() {
	in_ns a ping -c 2 -i 0.2 -W 1 "$@"
}

# What a's kernel has learnt of the path to an address.
learnt() {
	in_ns a ip route get "$1" | sed -n 's/.* mtu \([0-9]*\).*/\1/p'
}

all() {
	check_not "$1: 1,300 bytes with DF do not pass" ping_big -M "do" -s 1300 10.77.0.2
	equal "$1: the sender was told" 1000 "$(learnt 10.77.0.2)"
	check "$1: without DF they do" ping_big -M dont -s 1300 10.77.0.2
	check "$1: and 20,000 bytes" ping_big -M dont -s 20000 10.77.0.2
	check "$1: IPv6 with 1,280 bytes passes" ping_big -M "do" -s 1232 fd77::2
	check_not "$1: IPv6 with more does not" ping_big -M "do" -s 1233 fd77::2
	equal "$1: and is told its minimum" 1280 "$(learnt fd77::2)"
	check "$1: TCP from a" stream a b 10.77.0.2 10000000
	check "$1: TCP from b" stream b a 10.77.0.1 10000000
	check "$1: TCP by IPv6" stream a b fd77::2 10000000
}

ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24

check "planes start" start INNER_MTU=1000
all direct
stop
check "planes start, each the other's relay" start INNER_MTU=1000 RELAY=1
all relay
stop

# In the middle of a transfer: what is on its way as one super-packet is cut anew.
check "planes start, the path shrinks after 2 s" start INNER_MTU=900 INNER_MTU_AT=2
bg_ns b "$TT_WORK/iperf.log" iperf3 -s -1
check "iperf3 listens" wait_for 20 listening b 5201
in_ns a timeout 20 iperf3 -J -c 10.77.0.2 -t 4 -i 0.5 >"$TT_WORK/iperf.json" 2>/dev/null
equal "the sender was told meanwhile" 900 "$(learnt 10.77.0.2)"
stalls=$(jq '[.intervals[].sum.bytes | select(. == 0)] | length' "$TT_WORK/iperf.json")
equal "no half second without data" 0 "$stalls"
stop
finish
