#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A LAN behind a gateway, reached from a laptop behind a NAT.
#
#      l  192.168.50.2            h  the hub
#      |                          |
#      g  192.168.50.1  ----  internet ---- box b1 (port) ---- b  the laptop
#
# The gateway names its LAN address among its candidates, and the laptop reaches that LAN by the
# tunnel: a check to it goes through the tunnel and is answered. A path that leads through itself
# must never be taken, or each packet makes another one.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
nats_start
node g
box b1 port
node b b1
ns_add l
veth g lan 192.168.50.1/24 l e0 192.168.50.2/24
in_ns l ip route add default via 192.168.50.1
in_ns g sysctl -qw net.ipv4.ip_forward=1

check "a hub" hub_start
check "the gateway" enroll g --role gateway --subnet 192.168.50.0/24
token=$(hub token create --name b)
check "the laptop takes the gateway's LAN" \
	in_ns b timeout 30 taltun enroll --accept 192.168.50.0/24 "$token"
mesh_ip4[g]=$(hub node show g --json | jq -r '[.addresses[] | select(contains(":") | not)][0]')
mesh_ip4[b]=$(hub node show b --json | jq -r '[.addresses[] | select(contains(":") | not)][0]')

check "the gateway answers" wait_for 10 can_ping b "$(node_ip g)"
check "its LAN answers" wait_for 5 can_ping b 192.168.50.2
check "directly" wait_for 10 path_is b g 'direct|punched'
check "and still" wait_for 10 path_is g b 'direct|punched'

# a moment for whatever would go round
in_ns b ping -q -c 20 -i 0.1 192.168.50.2 >/dev/null
remote=$(of b g endpoint)
case $remote in
192.168.50.*) fail "the path goes to the LAN behind the tunnel: $remote" ;;
*) pass "the path goes to $remote" ;;
esac
sent=$(of b g tx_bytes)
less "nothing goes round: bytes sent" "$sent" 100000
sent=$(of g b tx_bytes)
less "nor on the other side" "$sent" 100000

node_down b
node_down g
mesh_finish
