#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A hub with a name that has addresses of both families. A laptop that has IPv6 too speaks to it that
# way, and must learn all the same what its IPv4 NAT looks like from outside: its peer has nothing else.
#
#            h (hub.test: IPv4, IPv6)
#            |
#            i (internet)
#           /  \
#   box bg, port   box bl, port, IPv6 beside
#          |        |
#          gw       l
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
check "an internet" nats_start
check "box of the gateway" box bg port
check "gateway" node gw bg
check "box of the laptop" box bl port i v6
check "laptop" node l bl
printf '127.0.0.1 localhost\n%s hub.test\n%s hub.test\n' "$HUB6" "$HUB" >"$TT_WORK/hosts"
chmod 711 "$TT_WORK"
chmod 644 "$TT_WORK/hosts"
for n in h gw l; do
	check "the name is known to $n" in_ns $n mount --bind "$TT_WORK/hosts" /etc/hosts
done
HUB=hub.test
check "a hub" hub_start
check "gateway enrols" enroll gw --role gateway
check "laptop enrols" enroll l
check "they see each other" wait_for 10 can_ping l "$(node_ip gw)"
case $(st l .hub.endpoint) in
"["*) pass "the laptop speaks to the hub by IPv6" ;;
*) fail "the laptop's hub is at $(st l .hub)" ;;
esac
outside() { [ "$(st l ".hub.reflexive_v$1" | sed 's/:[0-9]*$//')" = "$2" ]; }
check "it has learnt what its NAT looks like" wait_for 5 outside 4 "${nats_addr[bl]}"
check "and its IPv6 address, which is its own" wait_for 5 outside 6 "[$(in_ns l ip -6 -j addr show e0 scope global |
	jq -r '.[0].addr_info[] | select(.scope == "global") | .local' | head -n 1)]"
punched() { can_ping l "$(node_ip gw)" && path_is l gw punched && path_is gw l punched; }
check "two NATs of type port: punched" wait_for 8 punched
mesh_finish
