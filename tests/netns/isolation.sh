#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Who may talk to whom through a gateway that forwards (ip_forward=1, no firewall), and who may
# claim to be whom.
#
#   s1 [10.77.0.11]~~~~~~~~~.                          .~~~~~~~~~[10.77.0.12] s2
#      [v0 10.8.1.2]---veth--[g1 10.8.1.1] gw [g2 10.8.2.1]--veth---[v0 10.8.2.2]
#                              [tun 10.77.0.1, fd77::1]
#                              [g3 10.9.0.1]---veth---[v0 10.9.0.2] h, a host behind the gateway
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat python3 tcpdump ping
need_taltund
ns_add gw s1 s2 h
veth gw g1 10.8.1.1/24 s1 v0 10.8.1.2/24
veth gw g2 10.8.2.1/24 s2 v0 10.8.2.2/24
veth gw g3 10.9.0.1/24 h v0 10.9.0.2/24
in_ns h ip route add default via 10.9.0.1
router gw
g=$(ifname g) t1=$(ifname x) t2=$(ifname y)
wg_keys gw s1 s2

gateway_config() {
	toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/24,fd77::1/64 "listen_port = 51820"
	toml_datapath "$TT_WORK/gw.toml" "workers = 1" "$@"
	toml_peer "$TT_WORK/gw.toml" s1 10.77.0.11/32,fd77::11/128
	toml_peer "$TT_WORK/gw.toml" s2 10.77.0.12/32,fd77::12/128
}

# A spoke claims nothing of the others here: its peer has the whole network.
spoke_start() {
	local n=$1 ifname=$2
	toml "$TT_WORK/s$n.toml" "$ifname" "s$n" "10.77.0.1$n/24,fd77::1$n/64"
	toml_datapath "$TT_WORK/s$n.toml" "workers = 1"
	toml_peer "$TT_WORK/s$n.toml" gw 10.77.0.0/24,10.9.0.0/24,198.51.100.0/24,fd77::/64 "endpoint = \"10.8.$n.1:51820\""
	tt_start "s$n" "$TT_WORK/s$n.toml"
}

# counted BEFORE CMD...: CMD prints more than before.
counted() {
	local before=$1
	shift
	at_least $((before + 1)) "$@"
}

# What the gateway's kernel sees of the spokes' traffic to each other.
seen_on_tun() {
	grep -c '10.77.0.11 > 10.77.0.12\|fd77::11 > fd77::12' "$TT_WORK/tun.txt"
}

watch_tun() {
	: >"$TT_WORK/tun.txt"
	bg_ns gw "$TT_WORK/tun.txt" tcpdump -n -l -i "$g"
	watcher=$BG_PID
	wait_for 20 grep -q 'listening on' "$TT_WORK/tun.txt"
}

echo "denied, the default of a file:"
gateway_config
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
check "spoke 1 starts" spoke_start 1 "$t1"
check "spoke 2 starts" spoke_start 2 "$t2"
check "spoke 1 reaches the gateway" wait_for 20 can_ping s1 10.77.0.1
check "spoke 2 reaches the gateway" wait_for 20 can_ping s2 10.77.0.1
check "and over IPv6" wait_for 20 can_ping s2 fd77::1
before=$(drops gw "$g" policy_denied)
check_not "spoke 1 does not reach spoke 2" can_ping s1 10.77.0.12
check_not "nor over IPv6" can_ping s1 fd77::12
check "both are counted" wait_for 20 at_least $((before + 2)) drops gw "$g" policy_denied
check "the gateway reaches both" can_ping gw 10.77.0.12
# What comes back into the tunnel by the kernel obeys as well: as if a firewall had let it in.
before=$(drops gw "$g" policy_denied)
in_ns gw sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf."$g".rp_filter=0 \
	net.ipv4.conf.g1.rp_filter=0
in_ns s1 ip route add 10.77.0.12/32 via 10.8.1.1 src 10.77.0.11
check_not "nor past the tunnel, through the gateway's kernel" can_ping s1 10.77.0.12
check "which is counted" wait_for 20 counted "$before" drops gw "$g" policy_denied
in_ns s1 ip route del 10.77.0.12/32 via 10.8.1.1

echo "case 17: claiming to be somebody else:"
for source in 10.77.0.12 10.77.0.1 192.0.2.1 fd77::12 fd77::1 ::ffff:10.77.0.11; do
	case $source in *:*) to=fd77::1 ;; *) to=10.77.0.1 ;; esac
	before=$(drops gw "$g" inner_source_not_allowed)
	check "sent as $source" spoof_udp s1 "$source" "$to" 9 5
	check "is dropped and counted" wait_for 20 \
		at_least $((before + 5)) drops gw "$g" inner_source_not_allowed
done
rx=$(peer_field gw "$g" s1 rx_packets)
spoof_udp s1 192.0.2.1 10.77.0.1 9 5
check "though the peer is seen to be there" wait_for 20 at_least $((rx + 5)) peer_field gw "$g" s1 rx_packets
check "its own source still passes" can_ping s1 10.77.0.1

echo "forwarded by the worker:"
tt_stop gw "$g"
gateway_config "forward_between_peers = true"
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
check "spokes are back" wait_for 20 can_ping s1 10.77.0.1
check "both" wait_for 20 can_ping s2 10.77.0.1
watch_tun
check "spoke 1 reaches spoke 2" wait_for 20 can_ping s1 10.77.0.12
check "over IPv6 too" wait_for 20 can_ping s1 fd77::12
ttl=$(in_ns s1 ping -n -c 1 -W 2 10.77.0.12 | sed -n 's/.*ttl=\([0-9]*\).*/\1/p')
equal "TTL is one less" 63 "$ttl"
check "TTL 1 is answered: time exceeded" in_ns s1 sh -c \
	"ping -n -c 1 -W 2 -t 1 10.77.0.12 | grep -q 'From 10.77.0.1.*[Tt]ime to live exceeded'"
check "hop limit 1 as well" in_ns s1 sh -c \
	"ping -n -c 1 -W 2 -t 1 fd77::12 | grep -q 'From fd77::1.*[Tt]ime exceeded'"
check "and counted" at_least 2 drops gw "$g" ttl_exceeded
before=$(datapath gw "$g" forwarded_packets)
check "TCP between spokes" stream s1 s2 10.77.0.12 2000000
check "forwarded packets are counted" at_least $((before + 1000)) datapath gw "$g" forwarded_packets
kill_pids 2 "$watcher"
equal "none was seen on the gateway's TUN" 0 "$(seen_on_tun)"

echo "switched while it runs:"
gateway_config
check "reload denies" in_ns gw taltun reload "$g"
check_not "spoke 1 no longer reaches spoke 2" can_ping s1 10.77.0.12
gateway_config "forward_between_peers = true"
check "reload allows" in_ns gw taltun reload "$g"
check "spoke 1 reaches spoke 2 again" can_ping s1 10.77.0.12

# Spoke 2 has a default route: what nobody else has is its own, but hosts behind the gateway are not.
default_config() {
	toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/24,fd77::1/64 "listen_port = 51820" \
		"routes = [\"198.51.100.0/24\"]"
	toml_datapath "$TT_WORK/gw.toml" "workers = 1" "$@"
	toml_peer "$TT_WORK/gw.toml" s1 10.77.0.11/32,fd77::11/128
	toml_peer "$TT_WORK/gw.toml" s2 10.77.0.12/32,fd77::12/128,"$default"
}

addr_add s2 lo 198.51.100.1/32
for default in 0.0.0.0/0 0.0.0.0/1,128.0.0.0/1; do
	echo "spoke 2 has $default:"
	default_config
	check "reload denies" in_ns gw taltun reload "$g"
	check "spoke 1 reaches a host behind the gateway" can_ping s1 10.9.0.2
	check "which reaches it" can_ping h 10.77.0.11
	check "and spoke 2" can_ping h 10.77.0.12
	before=$(drops gw "$g" policy_denied)
	check_not "spoke 1 does not reach what only that route covers" can_ping s1 198.51.100.1
	check "which is counted" wait_for 20 counted "$before" drops gw "$g" policy_denied
	default_config "forward_between_peers = true"
	check "reload allows" in_ns gw taltun reload "$g"
	check "spoke 1 reaches a host behind the gateway" can_ping s1 10.9.0.2
	check "and what only that route covers" can_ping s1 198.51.100.1
done

echo "driven by wg, which allows as WireGuard does:"
tt_stop gw "$g"
check "gateway starts" tt_start gw "$g"
in_ns gw wg set "$g" listen-port 51820 private-key "$(key_file gw)" \
	peer "$(pub s1)" allowed-ips 10.77.0.11/32,fd77::11/128 endpoint "10.8.1.2:$(status s1 "$t1" .listen_port)" \
	peer "$(pub s2)" allowed-ips 10.77.0.12/32,fd77::12/128 endpoint "10.8.2.2:$(status s2 "$t2" .listen_port)"
addr_add gw "$g" 10.77.0.1/24,fd77::1/64
in_ns gw ip link set "$g" up
check "spokes are back" wait_for 20 can_ping gw 10.77.0.11
check "both" wait_for 20 can_ping gw 10.77.0.12
watch_tun
check "spoke 1 reaches spoke 2" wait_for 20 can_ping s1 10.77.0.12
check "over IPv6 too" wait_for 20 can_ping s1 fd77::12
check "through the gateway's kernel" wait_for 20 seen_on_tun
kill_pids 2 "$watcher"
in_ns gw sysctl -qw net.ipv4.ip_forward=0
check_not "which decides" can_ping s1 10.77.0.12
finish
