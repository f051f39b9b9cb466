#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The TUN is moved to another namespace, while the UDP sockets stay where the daemon was started:
# a container that has the tunnel as its only link.
#
#   namespace a                        namespace b            namespace x (container)
#   [v0 10.8.0.1]------- veth --------[v0 10.8.0.2]           nothing but lo
#   [tt..a 10.77.0.1]   taltund tt..b in b, its TUN ---------> [tt..b 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping socat
ns_add a b x
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

node_config "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24,fd77::1/64 51820
node_peer "$TT_WORK/a.toml" b 10.77.0.2/32,fd77::2/128 'endpoint = "10.8.0.2:51820"'
check "a starts" tt_start a "$TT_WORK/a.toml"

start_b() {
	tt_start b "$tb" || return 1
	in_ns b wg set "$tb" listen-port 51820 private-key "$(key_file b)" peer "$(pub a)" \
		allowed-ips 10.77.0.1/32,fd77::1/128 endpoint 10.8.0.1:51820 "$@"
}
move() {
	ip -n "$(ns_name "$1")" link set "$tb" netns "$(ns_name "$2")"
}
arrive() {
	addr_add "$1" "$tb" 10.77.0.2/24,fd77::2/64
	in_ns "$1" ip link set "$tb" up
}

check "b starts" start_b
check "its TUN is moved to x" move b x
check "and brought up there" arrive x
check "traffic from x" wait_for 20 can_ping x 10.77.0.1
check "traffic to x" can_ping a 10.77.0.2
check "IPv6" can_ping a fd77::2
check "TCP to x" tcp_copy a x 10.77.0.2
check "TCP from x" tcp_copy x a fd77::1
check_not "x has no other way" can_ping x 10.8.0.1
check "the daemon still answers in b" in_ns b wg show "$tb"
equal "with the peer" "$(pub a)" "$(in_ns b wg show "$tb" peers)"
check "the MTU is changed in x" in_ns x ip link set "$tb" mtu 1280
check "TCP with it" tcp_copy a x 10.77.0.2
check "listen port is changed in b" in_ns b wg set "$tb" listen-port 51999
check "traffic over it" wait_for 20 can_ping x 10.77.0.1

# Nobody tells of an interface that goes down in another namespace: the daemon sees it at the TUN.
check "down in x" in_ns x ip link set "$tb" down
check_not "no traffic" can_ping a 10.77.0.2
is_up() { [ "$(status b "$tb" .up)" = "$1" ]; }
check "the daemon notices" wait_for 20 is_up false
in_ns x ip link set "$tb" up
check "up again" wait_for 20 is_up true
addr_add x "$tb" fd77::2/64
check "traffic" wait_for 20 can_ping x 10.77.0.1

check "moved back to b" move x b
arrive b
check "traffic from b" wait_for 20 can_ping b 10.77.0.1
check "and once more to x" move b x
arrive x
check "traffic from x" wait_for 20 can_ping x 10.77.0.1

# An interface of the same name in b is none of the daemon's business.
in_ns b ip link add "$tb" type veth peer name other
in_ns b ip link set "$tb" up
in_ns b ip link del "$tb"
check "another of that name comes and goes in b" can_ping x 10.77.0.1
check_not "and the daemon lives" pid_gone "$(tt_pid b "$tb")"

# --- deleted there ---------------------------------------------------------------------------------

pid=$(tt_pid b "$tb")
check "the TUN is deleted in x" in_ns x ip link del "$tb"
check "the daemon ends" wait_for 20 pid_gone "$pid"
check_not "its socket is gone" in_ns b test -e "/run/wireguard/$tb.sock"
check_not "and the other one" in_ns b test -e "/run/taltun/$tb.sock"
check "the same name starts at once" start_b
arrive b
check "traffic from b" wait_for 20 can_ping b 10.77.0.1

# The whole container goes, with all that is in it.
move b x
arrive x
check "traffic from x" wait_for 20 can_ping x 10.77.0.1
pid=$(tt_pid b "$tb")
kill -KILL "${tt_mnt[x]}"
wait "${tt_mnt[x]}" 2>/dev/null
ip netns del "$(ns_name x)"
unset "tt_mnt[x]" "tt_ns[x]"
# A physical or virtual link without a home of its own ends with its namespace.
check "its namespace is deleted: the daemon ends" wait_for 20 pid_gone "$pid"
check "and the name is free" start_b
finish
