#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A laptop with two uplinks, each behind a NAT of its own, while TCP runs through the tunnel:
#
#                 h (hub)    gw (gateway, behind box bgw)
#                    \        /
#                     i (internet)
#                    /        \
#        wlan, a port NAT    lte, a symmetric one
#              e0 \            / e1
#                  lap (e0 has the better route)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/nats.sh"
. "$(dirname "$0")/support/mesh.sh"

need_mesh
NATS_DELAY_MS=${NATS_DELAY_MS:-5}
check "an internet" nats_start
check "a hub" hub_start
check "box of the gateway" box bgw full
check "gateway" node gw bgw
check "first uplink's box" box wlan port i delay=3
check "second uplink's box" box lte sym i delay=8
check "laptop" node lap wlan e0
check "its second uplink" node lap lte e1
check "gateway enrols" enroll gw --role gateway
check "laptop enrols" enroll lap
check "they see each other" wait_for 5 can_ping lap "$(node_ip gw)"
direct() { path_is lap gw punched && path_is gw lap punched; }
check "directly" wait_for 8 direct
by_wlan() { direct && [ "$(of gw lap endpoint | cut -d: -f1)" = "${nats_addr[wlan]}" ]; }
by_lte() { direct && [ "$(of gw lap endpoint | cut -d: -f1)" = "${nats_addr[lte]}" ]; }
check "by the first uplink" wait_for 3 by_wlan
had=$(of gw lap handshakes)

# As slow as an uplink, so that the change comes in the middle.
in_ns lap tc qdisc add dev e0 root tbf rate 80mbit burst 64kb latency 50ms 2>/dev/null
in_ns lap tc qdisc add dev e1 root tbf rate 80mbit burst 64kb latency 50ms 2>/dev/null
BYTES=${BYTES:-30000000}

wlan_gone() { in_ns lap ip link set e0 down; }
wlan_back() {
	in_ns lap ip link set e0 up &&
		in_ns lap ip route replace default via "$(in_ns wlan ip -j addr show in1 |
			jq -r '.[0].addr_info[] | select(.family == "inet") | .local')" metric 100
}
# Not the link goes, but what is behind it; the host sees it and takes the other route.
wlan_worse() { in_ns lap ip route replace default via "$(lte_gateway)" dev e1 metric 50; }
wlan_better() { in_ns lap ip route del default metric 50; }
lte_gateway() {
	in_ns lte ip -j addr show in1 | jq -r '.[0].addr_info[] | select(.family == "inet") | .local'
}

# change WHAT COMMAND FROM TO: COMMAND in the middle of a transfer.
change() {
	local what=$1 command=$2 from=$3 to=$4 pinger=
	calm_start 60
	pings lap "$(node_ip gw)" "$TT_WORK/$command.$from" 60
	pinger=$BG_PID
	later() { sleep 1 && "$command"; }
	later >/dev/null 2>&1 &
	local changer=$!
	STREAM_TIMEOUT=40 check "$what: $BYTES bytes from $from to $to" \
		stream "$from" "$to" "$(node_ip "$to")" "$BYTES"
	wait "$changer"
	sleep 1.5
	kill_pids 1 "$pinger"
	less "$what: the worst gap, ms" "$(gap "$TT_WORK/$command.$from")" "$(calm_limit 2000)"
}

change "first uplink down" wlan_gone lap gw
check "by the second" wait_for 8 by_lte
change "first uplink up again" wlan_back gw lap
check "by the first" wait_for 8 by_wlan
change "the route moves away" wlan_worse gw lap
check "by the second" wait_for 8 by_lte
change "the route moves back" wlan_better lap gw
check "by the first" wait_for 8 by_wlan
less "handshakes: one session, or a rekey" "$(of gw lap handshakes)" $((had + 3))
mesh_finish
