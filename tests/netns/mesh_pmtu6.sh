#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 19 over IPv6: two laptops find each other directly by IPv6, and somewhere on that way no more than
# 1,280 bytes pass, of which nobody is told. No router cuts IPv6, and inner IPv6 of 1,280 bytes has to pass
# whole: the path is measured, left, and said why. By IPv4 the NATs leave only the relay.
#
#      h (hub)
#       \
#        i (internet)
#       /  \
#      /    \  the WAN emulator: MTU 1280, no ICMP
#   box bg   box bl     symmetric NATs with IPv6 beside
#      |       |
#      gw      l
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
check "an internet" nats_start
check "a hub" hub_start
check "box of the gateway" box bg sym i v6
check "gateway" node gw bg
check "box of the laptop" box bl sym i v6 mtu=1280 no_icmp
check "laptop" node l bl
check "gateway enrols" enroll gw --role gateway
check "laptop enrols" enroll l
check "they see each other" wait_for 5 can_ping l "$(node_ip gw)"
settle() { path_is gw l "$1" && path_is l gw "$1"; }
check "directly, by IPv6" wait_for 8 settle direct
events l
mib() { STREAM_TIMEOUT=25 stream "$1" "$2" "$3" 1048576; }
check "case 19: 1 MiB out, inner IPv6" mib l gw "$(node_ip gw 6)"
check "case 19: 1 MiB in, inner IPv6" mib gw l "$(node_ip l 6)"
# Silent paths are not looked at.
relayed() { can_ping l "$(node_ip gw)" && settle relay_udp; }
check "they have left that path" wait_for 15 relayed
why="the direct path carries too little for IPv6"
equal "the laptop says why" "$why" "$(of l gw why_not_direct)"
told() { jq -se 'any(.[]; .event == "path" and ((.why // "") | test("too little for IPv6")))' "$TT_WORK/events.l" >/dev/null; }
check "its events as well" wait_for 20 told
for n in 4 6; do
	check "1 MiB out, inner IPv$n, by the relay" mib l gw "$(node_ip gw $n)"
	check "1 MiB in, inner IPv$n, by the relay" mib gw l "$(node_ip l $n)"
done
check "inner IPv6 of 1,280 bytes passes" in_ns gw ping -n -q -c 3 -i 0.2 -W 2 -s 1232 "$(node_ip l 6)"
relayed_still() { settle relay_udp; }
check "they stay there" relayed_still
mesh_finish
