#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# NATs in less simple places (support/nats.sh draws the parts):
#
#   gateway gw      public
#   laptop inner    behind a home's NAT behind a carrier's
#   gw1, l1         on one LAN behind one NAT
#   gw2, l2         behind one NAT, kept apart by it, which turns nothing round
#   gw3, l3         behind one NAT, kept apart by it, which turns round (hairpin)
#   gw4, l4         behind two NATs of their own, both with the address 192.168.77.2
#   gw5, l5         behind two symmetric NATs, with IPv6 and its firewalls beside
#   roving          behind a symmetric NAT that loses its state (case 28)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
check "an internet" nats_start
check "a hub" hub_start

# pair GATEWAY LAPTOP: both enrol; they see each other.
pair() {
	enroll "$1" --role gateway && enroll "$2" && wait_for 5 can_ping "$2" "$(node_ip "$1")"
}
settle() { path_is "$1" "$2" "$3" && path_is "$2" "$1" "${4:-$3}"; }
# sees MESSAGE GATEWAY LAPTOP KIND [KIND_OF_LAPTOP]
sees() {
	if wait_for 8 settle "${@:2}"; then
		pass "$1"
	else
		fail "$1: $2 has $(path "$2" "$3") ($(of "$2" "$3" why_not_direct))," \
			"$3 has $(path "$3" "$2") ($(of "$3" "$2" why_not_direct))"
	fi
}
stays() { sleep 2; settle "$@"; }
both_ways() { can_ping "$2" "$(node_ip "$1")" && can_ping "$1" "$(node_ip "$2")"; }

# --- one NAT behind another ------------------------------------------------------------------------

check "public gateway" node gw
check "a carrier's box" box carrier port
check "a home's box behind it" box home port carrier
check "laptop behind both" node inner home
check "they see each other" pair gw inner
sees "double NAT: punched" gw inner punched direct
node_down inner
box_type home sym
box_forget carrier
node_up inner
check "the home's box is symmetric now" wait_for 5 both_ways gw inner
sees "double NAT, one symmetric: the public one still learns where from" gw inner punched direct
node_down inner

# --- two behind one -----------------------------------------------------------------------------------

# two N TYPE [OPTION]...
two() {
	local n=$1
	shift
	box "box$n" "$1" i "${@:2}" && node "gw$n" "box$n" && node "l$n" "box$n" && pair "gw$n" "l$n"
}
check "two on one LAN" two 1 port
sees "one LAN: direct" gw1 l1 direct
node_down l1
check "two kept apart behind one NAT" two 2 port apart
sees "no hairpin: by the relay" gw2 l2 relay_udp
check "still" stays gw2 l2 relay_udp
check "and it carries" both_ways gw2 l2
node_down l2
check "two kept apart behind one NAT that turns round" two 3 full apart hairpin
sees "hairpin: punched" gw3 l3 punched
check "and it carries" both_ways gw3 l3
node_down l3

# --- the same addresses at both ends -------------------------------------------------------------------

own_box() {
	box "b$1" "$2" i "${@:3}" && node "$1" "b$1"
}
check "a LAN 192.168.77.0" own_box gw4 port lan=77
check "another" own_box l4 port lan=77
equal "the same address" "$(in_ns gw4 hostname -I | tr -d ' ')" "$(in_ns l4 hostname -I | tr -d ' ')"
check "they see each other" pair gw4 l4
sees "the same private address at both ends: punched" gw4 l4 punched
node_down l4

# --- IPv6 beside ----------------------------------------------------------------------------------------

check "a symmetric NAT with IPv6 beside" own_box gw5 sym v6
check "another" own_box l5 sym v6
check "they see each other" pair gw5 l5
sees "two symmetric NATs with IPv6: direct through both firewalls" gw5 l5 direct
case $(of l5 gw5 endpoint) in
"[2001:db8:"*) pass "by IPv6" ;;
*) fail "by $(of l5 gw5 endpoint)" ;;
esac
node_down l5

# --- case 28: a NAT that loses its state -----------------------------------------------------------------

check "laptop behind a symmetric NAT" own_box roving sym
check "enrols" enroll roving
check "sees the gateway" wait_for 5 both_ways gw roving
sees "punched" gw roving punched direct
# The mapping is the peer's endpoint at the gateway.
where() { of gw roving endpoint; }
moved() { [ "$(where)" != "$1" ] && settle gw roving punched direct; }
had=$(of gw roving handshakes) was=$(where)
calm_start 5
pings roving "$(node_ip gw)" "$TT_WORK/rebind.out" 5
pinger=$BG_PID
sleep 1
box_forget broving
wait "$pinger"
less "case 28: new mapping under traffic from inside: the worst gap" "$(gap "$TT_WORK/rebind.out")" "$(calm_limit 2000)"
check "case 28: direct again, by another udp_port" wait_for 8 moved "$was"
equal "case 28: without a new handshake" "$had" "$(of gw roving handshakes)"

was=$(where)
pings gw "$(node_ip roving)" "$TT_WORK/rebind2.out" 14
pinger=$BG_PID
sleep 1
box_forget broving
wait "$pinger"
# The connection to the hub has gone the same way: nobody gets in before the laptop sends something.
less "case 28: and under traffic from outside" "$(gap "$TT_WORK/rebind2.out")" 10500
check "case 28: direct again" wait_for 8 moved "$was"
equal "case 28: without a new handshake" "$had" "$(of gw roving handshakes)"

was=$(where)
box_forget broving
sleep 11
check "case 28: in silence: after a keepalive the gateway reaches it at once" \
	wait_for 2.5 can_ping gw "$(node_ip roving)"
check "case 28: directly" wait_for 8 moved "$was"
mesh_finish
