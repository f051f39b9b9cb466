#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The library and the machine do what the other tests rely on: two wireguard-go nodes talk.
#
#   namespace a                                namespace b
#   [v0 10.8.0.1]------------ veth ------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~ WireGuard, port 51820 ~~ [tt..b 10.77.0.2]
#
#   c [v1 192.168.9.2]---[192.168.9.1 v0] router r, NAT [v1 10.8.1.1]---[10.8.1.2 v1] b
#
. "$(dirname "$0")/lib.sh"

need_root
need_commands wireguard-go wg iperf3 jq
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

check "IPv4 over the veth pair" can_ping a 10.8.0.2
check "IPv6 without waiting for DAD" can_ping a fd08::2
check "wireguard-go starts in a" wgo_start a "$ta"
check "wireguard-go starts in b" wgo_start b "$tb"
check_not "a does not see b's control socket" in_ns a test -e "/run/wireguard/$tb.sock"
check_not "nor does the host" test -e "/run/wireguard/$ta.sock"

in_ns a wg set "$ta" listen-port 51820 private-key "$(key_file a)" peer "$(pub b)" \
	allowed-ips 10.77.0.2/32 endpoint 10.8.0.2:51820
in_ns b wg set "$tb" listen-port 51820 private-key "$(key_file b)" peer "$(pub a)" \
	allowed-ips 10.77.0.1/32
addr_add a "$ta" 10.77.0.1/24
addr_add b "$tb" 10.77.0.2/24
in_ns a ip link set "$ta" up
in_ns b ip link set "$tb" up

check "ping through the tunnel" wait_for 20 can_ping a 10.77.0.2
less "TCP through the tunnel" 1 "$(iperf_run a b 10.77.0.2 -t 1)"
pid=$(tt_pid a "$ta")
wgo_stop a "$ta"
check "a stopped daemon is gone" pid_gone "$pid"
check_not "and so is its interface" in_ns a ip link show "$ta"

ns_add c r
veth r v0 192.168.9.1/24 c v1 192.168.9.2/24
veth r v1 10.8.1.1/24 b v1 10.8.1.2/24
in_ns c ip route add default via 192.168.9.1
check_not "no way to c's network from b" can_ping b 192.168.9.2
masquerade r v1 fully-random
check "c reaches b through the NAT" can_ping c 10.8.1.2
udp_timeout r 2
equal "conntrack forgets soon" 2 "$(in_ns r sysctl -n net.netfilter.nf_conntrack_udp_timeout)"

sleep 60 &
child=$! others=$(in_ns a sh -c 'sleep 60 >/dev/null & echo $!')
equal "clean-up ends what it started, not what has its number" "$child" \
	"$(own_pids "$child" "$others" 1 32769)"
kill_pids 1 "$child"
finish
