#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 19: 1 MiB through underlays of 1280 and 1124 bytes that drop all ICMP, both directions, direct
# and by both relays, inner IPv4 and IPv6. What is measured is the whole of a path, the hub's leg to
# the laptop included:
#
#      h (hub)       gw (gateway, public)
#           \        /
#            i (internet)
#            |
#            |  the WAN emulator: MTU 1280, then 1124; nobody is told what is too big
#            |
#       box bl, port NAT
#            |
#            l (laptop; its own link has 1500)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
check "an internet" nats_start
check "a hub" hub_start
check "gateway" node gw
check "box of the laptop" box bl port i mtu=1280 no_icmp
check "laptop" node l bl
check "gateway enrols" enroll gw --role gateway
check "laptop enrols" enroll l
check "they see each other" wait_for 5 can_ping l "$(node_ip gw)"

# Silent paths are not looked at while nothing is sent.
settle() {
	can_ping l "$(node_ip gw)"
	path_is gw l "$1" && path_is l gw "$2"
}
mib() { STREAM_TIMEOUT=20 stream "$1" "$2" "$3" 1048576; }

all() {
	local what="case 19: $1"
	check "$what: 1 MiB out" mib l gw "$(node_ip gw)"
	check "$what: 1 MiB in" mib gw l "$(node_ip l)"
	check "$what: 1 MiB out, inner IPv6" mib l gw "$(node_ip gw 6)"
	check "$what: 1 MiB in, inner IPv6" mib gw l "$(node_ip l 6)"
	check "$what: 1 MiB in without the clamp's help" big_datagrams gw l "$(node_ip l)"
}

# Datagrams of 1,300 bytes without DF: they come whole, in fragments inside or outside.
big_datagrams() {
	in_ns "$1" ping -n -q -c 5 -i 0.2 -W 2 -M dont -s 1272 "$3"
}

mtu_of() { of "$1" "$2" path_mtu; }
# found WHAT OUTER OVERHEAD: both ends know it within seconds
found() {
	local want=$(($2 - $3))
	known() { [ "$(mtu_of l gw)" = "$want" ] && [ "$(mtu_of gw l)" = "$want" ]; }
	if wait_for 15 known; then
		pass "$1: both ends know $want"
	else
		fail "$1: wanted $want, l has $(mtu_of l gw), gw has $(mtu_of gw l)"
	fi
}

# Packets that the small link has cut.
cut() {
	echo stats | socat -t 2 - "UNIX-CONNECT:$TT_WORK/wan-bl-out.sock" | jq '.lr.fragmented + .rl.fragmented'
}
# What is known fits: nothing is cut any more, in either direction, also behind the hub.
whole() {
	local before
	before=$(cut)
	check "$1: 1 MiB out once more" mib l gw "$(node_ip gw)"
	check "$1: 1 MiB in once more" mib gw l "$(node_ip l)"
	equal "$1: nothing was cut on the way" "$before" "$(cut)"
}

# The path takes less from one moment to the next, and nobody says so.
shrink() { sleep 0.3 && link_set bl mtu 1124; }
shrinks() { # FROM TO ADDRESS
	local shrinker
	shrink &
	shrinker=$!
	check "case 19: it shrinks to 1124 while $1 sends: 40 MB whole" eval \
		"STREAM_TIMEOUT=60 stream $1 $2 $3 40000000"
	wait "$shrinker"
}

for mtu in 1280 1124; do
	check "underlay of $mtu" link_set bl mtu $mtu
	box_pass bl
	node_down l
	box_forget bl
	node_up l
	check "$mtu: direct" wait_for 10 settle punched direct
	all "$mtu, direct"
	found "$mtu, direct" $mtu 60
	all "$mtu, direct, known"
	whole "$mtu, direct, known"
	if [ $mtu = 1280 ]; then
		shrinks l gw "$(node_ip gw)"
		# Who sends looks every 10 s, and takes up to 4 s to find the size; who does not send does not look.
		knows_1124() {
			can_ping l "$(node_ip gw)"
			[ "$(mtu_of l gw)" -le 1064 ]
		}
		check "case 19: the sender knows" wait_for 20 knows_1124
		check "underlay of 1280 again" link_set bl mtu 1280
	fi
	box_drop bl with "${nats_addr[gw]}"
	check "$mtu: relay_udp" wait_for 10 settle relay_udp relay_udp
	all "$mtu, relay_udp"
	found "$mtu, relay_udp" $mtu 68
	all "$mtu, relay_udp, known"
	whole "$mtu, relay_udp, known"
	box_drop bl udp
	check "$mtu: relay_tcp" wait_for 15 settle relay_tcp relay_tcp
	all "$mtu, relay_tcp"
done
mesh_finish
