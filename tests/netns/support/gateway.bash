# shellcheck shell=bash disable=SC2034,SC2154 # part of tests, on top of nodes.bash
# SPDX-License-Identifier: MIT
#
# A gateway with two spokes, a LAN behind it, and something like the internet.
#
#   s1 [10.77.0.11]~~~~~~~~~.                          .~~~~~~~~~[10.77.0.12] s2
#      [v0 10.8.1.2]---veth--[g1 10.8.1.1] gw [g2 10.8.2.1]--veth---[v0 10.8.2.2]
#                              [tun 10.77.0.1, fd77::1]
#            [g3 10.9.0.1, fd09::1]       [g4 203.0.113.1, fdcb::1]
#            h, the LAN: 10.9.0.2         w, the world: 203.0.113.2
#
#   gateway_net                    makes it; g is the gateway's interface, t1 and t2 are the spokes'
#   gateway_config [LINE]...       $TT_WORK/gw.toml with this [gateway]; between=true: peers reach
#                                  each other
#   spokes_start                   both, and waits until they answer
#   dropped CHAIN COMMENT          packets that the rule has dropped so far
#   reaches_none NS:ADDRESS...     none of them is reached; all are tried at once
#   table                          of the gateway; foreign_tables: all others, without counts

gateway_net() {
	ns_add gw s1 s2 h w
	veth gw g1 10.8.1.1/24 s1 v0 10.8.1.2/24
	veth gw g2 10.8.2.1/24 s2 v0 10.8.2.2/24
	veth gw g3 10.9.0.1/24,fd09::1/64 h v0 10.9.0.2/24,fd09::2/64
	veth gw g4 203.0.113.1/24,fdcb::1/64 w v0 203.0.113.2/24,fdcb::2/64
	in_ns h ip route add default via 10.9.0.1
	in_ns h ip -6 route add default via fd09::1
	# the kernel's own check of sources must not do the table's work
	in_ns gw sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
	for link in g1 g2 g3 g4; do
		in_ns gw sysctl -qw "net.ipv4.conf.$link.rp_filter=0"
	done
	g=$(ifname g) t1=$(ifname x) t2=$(ifname y) table=taltun_$g
	wg_keys gw s1 s2
}

# Spoke 2 has a wide prefix, within which are the links that the tunnel goes by.
gateway_config() {
	toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/24,fd77::1/64 "listen_port = ${listen_port:-51820}"
	toml_datapath "$TT_WORK/gw.toml" "workers = 1" "forward_between_peers = ${between:-false}"
	[ $# -eq 0 ] || printf '%s\n' "[gateway]" "$@" >>"$TT_WORK/gw.toml"
	toml_peer "$TT_WORK/gw.toml" s1 10.77.0.11/32,fd77::11/128
	toml_peer "$TT_WORK/gw.toml" s2 10.77.0.12/32,fd77::12/128,10.8.0.0/16
}

spoke_start() {
	local n=$1 ifname=$2
	toml "$TT_WORK/s$n.toml" "$ifname" "s$n" "10.77.0.1$n/24,fd77::1$n/64"
	toml_datapath "$TT_WORK/s$n.toml" "workers = 1"
	toml_peer "$TT_WORK/s$n.toml" gw \
		10.77.0.0/24,10.9.0.0/24,203.0.113.0/24,198.51.100.0/24,fd77::/64,fd09::/64,fdcb::/64 \
		"endpoint = \"10.8.$n.1:51820\""
	tt_start "s$n" "$TT_WORK/s$n.toml"
}

spokes_start() {
	spoke_start 1 "$t1" && spoke_start 2 "$t2" &&
		wait_for 20 can_ping s1 10.77.0.1 && wait_for 20 can_ping s2 10.77.0.1
}

reaches_none() {
	local pair pids=() reached=0
	for pair in "$@"; do
		can_ping "${pair%%:*}" "${pair#*:}" &
		pids+=($!)
	done
	for pair in "${pids[@]}"; do
		! wait "$pair" || reached=$((reached + 1))
	done
	[ "$reached" -eq 0 ]
}

dropped() {
	in_ns gw nft list chain inet "$table" "$1" | awk -v comment="$2" '
		index($0, "\"" comment) && match($0, /counter packets [0-9]+/) {
			n += substr($0, RSTART + 16, RLENGTH - 16)
		}
		END { print n + 0 }'
}

# more_dropped BEFORE CHAIN COMMENT
more_dropped() {
	local before=$1
	shift
	at_least $((before + 1)) dropped "$@"
}

uncounted() {
	sed -E 's/counter packets [0-9]+ bytes [0-9]+/counter/'
}

foreign_tables() {
	local family name
	in_ns gw nft list tables | while read -r _ family name; do
		[ "$name" = "$table" ] || in_ns gw nft list table "$family" "$name" | uncounted
	done
}

has_table() {
	in_ns gw nft list table inet "$table"
}

gone_table() {
	! has_table
}

gateway_log() {
	tt_log gw "$g"
}

# said N EVENT...: so many lines of the gateway's log say it.
said() {
	[ "$(grep -c "$2" "$(gateway_log)")" -ge "$1" ]
}

# kill_gateway: all processes at once, and the interface goes with them.
kill_gateway() {
	local monitor children
	monitor=$(tt_pid gw "$g")
	children=$(pgrep -P "$monitor")
	# shellcheck disable=SC2086 # a list
	kill -KILL "$monitor" $children
	unset "tt_proc[gw $g]"
	wait_for 20 pid_gone "$monitor" && wait_for 20 no_interface
}

no_interface() {
	! in_ns gw ip link show "$g"
}
