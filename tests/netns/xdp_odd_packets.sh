#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What the pinhole does not take still arrives, by the kernel's socket: fragments, IPv4 options, IPv6
# extension headers. One VLAN tag and bytes behind the end of the packet are taken, two tags are not.
#
#   gw [tun 10.77.0.1]~~~~~~~~~~~~~~~~~~~~~~~ 10.77.0.2 tools/odd_packets, in c
#      [v0 10.8.0.1, fd08::1]---- veth ----[v0 10.8.0.2, fd08::2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping
need_taltund
[ -x "$TT_TOOLS/odd_packets" ] || skip_all "needs $TT_TOOLS/odd_packets (make tools)"
count=50
wg_keys gw c

nic() { status "gw$1" "$g" ".datapath.interfaces[0]$2"; }
counter() { nic "$1" ".steering.$2"; }
mac() { in_ns "$1" ip -j link show v0 | jq -r '.[0].address'; }

# send MODE IP KIND: prints how many pings were answered.
send() {
	in_ns "c$1" timeout 20 "$TT_TOOLS/odd_packets" "$(key_file c)" "$TT_WORK/gw.pub" "$2" 51820 \
		10.77.0.2 10.77.0.1 "$3" "$count" v0 "$(mac "c$1")" "$(mac "gw$1")" 10.8.0.2 | jq .answered
}

# odd MODE IP KIND REASON ANSWERED: at least COUNT packets more are counted as REASON, and hardly
# one as anything else that is redirected.
odd() {
	local mode=$1 ip=$2 kind=$3 reason=$4 wanted=$5 before taken answered
	before=$(counter "$mode" "$reason")
	taken=$(counter "$mode" redirected)
	answered=$(send "$mode" "$ip" "$kind")
	equal "$mode, to $ip, $kind: answered" "$wanted" "$answered"
	less "$mode, to $ip, $kind: counted as $reason" $((count - 1)) $(($(counter "$mode" "$reason") - before))
	[ "$reason" = redirected ] ||
		equal "$mode, to $ip, $kind: none was redirected" "$taken" "$(counter "$mode" redirected)"
}

# route_mtu MODE [MTU]: what is longer leaves the client in fragments.
route_mtu() {
	in_ns "c$1" ip route replace 10.8.0.0/24 dev v0 src 10.8.0.2 ${2:+mtu "$2"}
	in_ns "c$1" ip -6 route replace fd08::/64 dev v0 metric 256 ${2:+mtu "$2"}
}

for mode in native generic; do
	TT_MODE=$mode
	export TALTUN_DATAPATH_MODE=xdp
	ns_add gw$mode c$mode
	veth gw$mode v0 10.8.0.1/24,fd08::1/64 c$mode v0 10.8.0.2/24,fd08::2/64
	in_ns gw$mode sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000
	g=$(ifname ${mode:0:1})
	toml "$TT_WORK/$mode.toml" "$g" gw 10.77.0.1/24 "listen_port = 51820"
	toml_datapath "$TT_WORK/$mode.toml" 'interfaces = ["v0"]'
	toml_peer "$TT_WORK/$mode.toml" c 10.77.0.2/32
	check "$mode: gateway starts" tt_start gw$mode "$TT_WORK/$mode.toml"
	wanted=$mode
	[ $mode = generic ] || wanted="native copy"
	equal "$mode: that is its mode" "$wanted" "$(nic $mode .mode)"
	check "$mode: neighbours" eval "can_ping c$mode 10.8.0.1 && can_ping c$mode fd08::1"
	odd $mode 10.8.0.1 plain redirected $count
	odd $mode fd08::1 plain redirected $count
	odd $mode 10.8.0.1 options pass_options $count
	odd $mode fd08::1 destination pass_not_udp $count
	odd $mode fd08::1 hop pass_not_udp $count
	odd $mode 10.8.0.1 padded redirected $count
	odd $mode 10.8.0.1 tag redirected $count
	# the kernel has no use for it
	odd $mode 10.8.0.1 two-tags pass_not_ip 0
	route_mtu $mode 1280
	odd $mode 10.8.0.1 big pass_fragment $count
	odd $mode fd08::1 big pass_not_udp $count
	route_mtu $mode
	odd $mode 10.8.0.1 big redirected $count
	odd $mode fd08::1 big redirected $count
	less "$mode: handshakes went by the socket" 11 "$(counter $mode pass_type)"
	equal "$mode: no packet of an unknown session" 0 "$(counter $mode unknown_index)"
	for reason in data_unknown_index data_bad_auth data_replayed; do
		equal "$mode: none dropped as $reason" 0 "$(drops gw$mode "$g" $reason)"
	done
	equal "$mode: all frames have an owner" "$(nic $mode '.queues[0].rings.frames')" \
		"$(nic $mode '.queues[0].rings | .free + .fill + .rx + .sending')"
done
finish
