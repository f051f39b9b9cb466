#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Everything goes into the tunnel but the tunnel itself.
#
#   c [tun 10.77.0.2]~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~~[tun 10.77.0.1] g
#     [v0 10.8.1.2]--[r0 10.8.1.1] r [r1 10.8.2.1]--[v0 10.8.2.2]        [lo 203.0.113.1]
#     default via r                   knows nothing of 203.0.113.1 and fd99::1
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping tcpdump nft
need_taltund
ns_add c r g
veth r r0 10.8.1.1/24,fd01::1/64 c v0 10.8.1.2/24,fd01::2/64
veth r r1 10.8.2.1/24,fd02::1/64 g v0 10.8.2.2/24,fd02::2/64
router r
in_ns c ip route add default via 10.8.1.1
in_ns c ip -6 route add default via fd01::1
in_ns g ip route add 10.8.1.0/24 via 10.8.2.1
in_ns g ip -6 route add fd01::/64 via fd02::1
addr_add g lo 203.0.113.1/32,fd99::1/128
tc=$(ifname c) tg=$(ifname g)
wg_keys c g

toml "$TT_WORK/g.toml" "$tg" g 10.77.0.1/24,fd77::1/64 "listen_port = 51820"
toml_peer "$TT_WORK/g.toml" c 10.77.0.2/32,fd77::2/128

client_config() {
	toml "$TT_WORK/c.toml" "$tc" c 10.77.0.2/24,fd77::2/64
	toml_peer "$TT_WORK/c.toml" g 0.0.0.0/0,::/0 "endpoint = \"$1:51820\""
}

# 1: strict; 2: loose, as systemd sets it. The way back of the outer packets is not the way an
# unmarked one takes, which strict filtering minds.
rp_filter() {
	in_ns c sysctl -qw "net.ipv4.conf.all.rp_filter=$1" "net.ipv4.conf.v0.rp_filter=$1"
}
rp_filter "${TT_RP_FILTER:-1}"
# A neighbour that has found out an address of the tunnel.
in_ns r ip route add 10.77.0.2 via 10.8.1.2

host_state() {
	in_ns c ip -4 rule
	in_ns c ip -6 rule
	in_ns c sysctl net.ipv4.conf.all.src_valid_mark net.ipv4.conf.all.rp_filter
	in_ns c ip -4 route show table all
	in_ns c ip -6 route show table all | sed 's/expires [0-9]*sec//' | grep -v "dev $tc"
	in_ns c nft list ruleset
}

same_state() {
	host_state | diff "$TT_WORK/before" -
}

outer_packets() {
	in_ns r cat "/sys/class/net/r0/statistics/rx_packets"
}

works() {
	check "IPv4 goes into the tunnel" wait_for 12 can_ping c 203.0.113.1
	check "IPv6 goes into the tunnel" wait_for 20 can_ping c fd99::1
	equal "from its address" 10.77.0.2 "$(in_ns c ip -j route get 203.0.113.1 | jq -r '.[0].prefsrc')"
	check "the local network does not" in_ns c sh -c "ip route get 10.8.1.1 | grep -q 'dev v0'"
	check "and is reached" can_ping c 10.8.1.1
	check "what is marked takes the old way" in_ns c sh -c \
		"ip route get 203.0.113.1 mark $(status c "$tc" .fwmark) | grep -q 'dev v0'"
	# One inner packet is one outer packet, each way: nothing runs in circles.
	before=$(outer_packets)
	in_ns c ping -n -q -c 20 -i 0.01 203.0.113.1 >/dev/null
	less "no outer packet loops" $(($(outer_packets) - before)) 40
	check_not "a neighbour does not reach the tunnel's address" can_ping r 10.77.0.2
}

kill_everything() {
	local monitor children
	monitor=$(tt_pid c "$tc")
	children=$(pgrep -P "$monitor")
	# shellcheck disable=SC2086 # a list
	kill -KILL "$monitor" $children
	wait_for 20 pid_gone "$monitor"
	! in_ns c ip link show "$tc" >/dev/null 2>&1 || wait_for 20 tun_gone
}

tun_gone() {
	! in_ns c ip link show "$tc"
}

host_state >"$TT_WORK/before"
check "gateway starts" tt_start g "$TT_WORK/g.toml"
check_not "no way to 203.0.113.1 without the tunnel" can_ping c 203.0.113.1

echo "outer IPv4:"
client_config 10.8.2.2
check "client starts" tt_start c "$TT_WORK/c.toml"
works
check "stop" tt_stop c "$tc"
check "rules, routes, sysctl and firewall are as before" same_state
check "the host has its way back" can_ping c 10.8.2.2

echo "outer IPv6:"
client_config "[fd02::2]"
check "client starts" tt_start c "$TT_WORK/c.toml"
works

echo "killed, all of it:"
check "TUN goes with it" kill_everything
check "the firewall table is left" in_ns c nft list table inet "taltun_${tc}_route"
check "client starts again" tt_start c "$TT_WORK/c.toml"
works
check "stop" tt_stop c "$tc"
check "rules, routes, sysctl and firewall are as before" same_state

echo "no nft, loose:"
rp_filter 2
check "client starts" daemon_start c "$tc" env PATH=/nonexistent "$TT_BIN/taltund" -f --config "$TT_WORK/c.toml"
check "IPv4 goes into the tunnel" wait_for 12 can_ping c 203.0.113.1
check "a neighbour would reach the tunnel's address then" can_ping r 10.77.0.2
check "a warning says what to do" grep -q 'event=net.unguarded.*nft is not installed.*rp_filter=2' \
	"$(tt_log c "$tc")"
check "stop" tt_stop c "$tc"
rp_filter "${TT_RP_FILTER:-1}"
check "rules, routes, sysctl and firewall are as before" same_state

echo "reloaded in and out:"
client_config 10.8.2.2
sed -i 's|"0.0.0.0/0", "::/0"|"10.77.0.1/32"|' "$TT_WORK/c.toml"
check "client starts without" tt_start c "$TT_WORK/c.toml"
check "the tunnel works" wait_for 20 can_ping c 10.77.0.1
check_not "203.0.113.1 is not in it" can_ping c 203.0.113.1
client_config 10.8.2.2
check "reload to everything" in_ns c taltun reload "$tc"
works
sed -i 's|"0.0.0.0/0", "::/0"|"10.77.0.1/32"|' "$TT_WORK/c.toml"
check "reload back" in_ns c taltun reload "$tc"
check_not "203.0.113.1 is out again" can_ping c 203.0.113.1
check "the tunnel still works" wait_for 20 can_ping c 10.77.0.1
check "stop" tt_stop c "$tc"
check "rules, routes, sysctl and firewall are as before" same_state

echo "two tunnels for everything:"
client_config 10.8.2.2
td=$(ifname d)
toml "$TT_WORK/d.toml" "$td" c 10.78.0.2/24
toml_peer "$TT_WORK/d.toml" g 0.0.0.0/0
check "client starts" tt_start c "$TT_WORK/c.toml"
check "another starts" tt_start c "$TT_WORK/d.toml"
equal "the first has the first number" 51820 "$(status c "$tc" .fwmark)"
equal "the second has the next" 51821 "$(status c "$td" .fwmark)"
check "in a table of its own" in_ns c sh -c "ip route show table 51821 | grep -q 'default dev $td'"
kill -KILL "$(pgrep -P "$(tt_pid c "$td")" -x taltun-engine)"
restarted() { [ "$(status c "$td" .restarts)" = 1 ]; }
check "its engine is restarted" wait_for 20 restarted
equal "with the same number" 51821 "$(status c "$td" .fwmark)"
check "stop the second" tt_stop c "$td"
works
check "stop the first" tt_stop c "$tc"
check "rules, routes, sysctl and firewall are as before" same_state
finish
