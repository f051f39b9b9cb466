#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A gateway's firewall with this kernel and its modules: the table is taken, and its rules do what
# they say. More of it, on the host's kernel, in tests/netns/firewall*.sh.
. "$(dirname "$0")/../../netns/lib.sh"
. "$(dirname "$0")/../../netns/nodes.bash"
. "$(dirname "$0")/../../netns/support/gateway.bash"

need_root
need_taltund
need_commands wg jq ping nft socat
gateway_net

# as_whom PORT: which port the world sees, of a datagram from this inner port of spoke 1.
as_whom() {
	echo hello | in_ns s1 timeout 60 socat -T 15 -t 15 - "UDP:203.0.113.2:7777,bind=10.77.0.11:$1"
}

gateway_config "firewall = true" "ip_forward = true" 'masquerade = ["g4"]' \
	'subnets = ["10.9.0.0/24", "fd09::/64", "203.0.113.0/24"]'
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
check "spokes start" spokes_start
# shellcheck disable=SC2016 # socat's variable
bg_ns w "$TT_WORK/world.txt" socat UDP-RECVFROM:7777,fork SYSTEM:'echo $SOCAT_PEERPORT'
check "the table is as made" in_ns gw taltun firewall show "$g"
check "spoke 1 reaches the LAN" wait_for 10 can_ping s1 10.9.0.2
check "over IPv6" wait_for 10 can_ping s1 fd09::2
check "the LAN reaches spoke 1" wait_for 10 can_ping h 10.77.0.11
check "spoke 1 reaches the world, which knows no way back" wait_for 10 can_ping s1 203.0.113.2
check "spoke 1 does not reach spoke 2" reaches_none s1:10.77.0.12 s1:fd77::12
equal "a port stays" 4000 "$(as_whom 4000)"
port=$(as_whom 51820)
check "the tunnel's own does not" test "${port:-51820}" -ne 51820
in_ns gw ip route add 198.51.100.0/24 dev "$g"
before=$(dropped forward "peer to peer")
check_not "nor is it sent back into the tunnel" can_ping s1 198.51.100.1
check "which is counted" more_dropped "$before" forward "peer to peer"
in_ns gw nft flush ruleset
check "flushed, it is put back" wait_for 20 in_ns gw taltun firewall show "$g"
check "and said" wait_for 10 said 1 'event=firewall.restored was=removed by=nft'
check "stop" tt_stop gw "$g"
check "the table is gone" gone_table
equal "forwarding is off" 0 "$(in_ns gw cat /proc/sys/net/ipv4/ip_forward)"
finish
