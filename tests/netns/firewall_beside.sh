#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A gateway's firewall beside those of Docker, ufw and firewalld, whose typical rules are loaded
# first (support/firewalls): they stay as they are, and what we keep apart is apart with them, when
# the whole ruleset is flushed, and where there is none.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/gateway.bash"

need_root
need_commands wg jq python3 ping nft
need_taltund
gateway_net
in_ns w ip route add 10.9.0.0/24 via 203.0.113.1
in_ns w ip route add 10.77.0.0/24 via 203.0.113.1

load() {
	in_ns gw nft flush ruleset
	in_ns gw nft -f "$TT_ROOT/tests/netns/support/firewalls/$1.nft"
	foreign_tables >"$TT_WORK/foreign"
}

# A spoke that starts anew makes its session at once.
gateway_start() {
	check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
	[ -z "$(tt_pid s1 "$t1")" ] || tt_stop s1 "$t1"
	check "spoke 1 too" spoke_start 1 "$t1"
}

untouched() {
	foreign_tables | diff "$TT_WORK/foreign" -
}

kept_apart() {
	local before
	check "spoke 1 reaches neither spoke 2 nor the world, and that not spoke 1" \
		reaches_none s1:10.77.0.12 s1:fd77::12 s1:203.0.113.2 w:10.77.0.11
	before=$(dropped spoofed "a source behind")
	spoof_udp w 10.77.0.12 10.9.0.2 9 3
	check "spoofed packets are dropped" wait_for 20 at_least $((before + 3)) dropped spoofed "a source behind"
}

gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24"]'
check "spoke 2 starts" spoke_start 2 "$t2"

for host in docker ufw firewalld; do
	echo "beside $host:"
	load "$host"
	gateway_start
	check "its rules are untouched" untouched
	check "spoke 1 reaches the gateway" wait_for 20 can_ping s1 10.77.0.1
	if [ "$host" = docker ]; then
		check_not "Docker forwards nothing that it is not told of" can_ping s1 10.9.0.2
		in_ns gw nft insert rule ip filter DOCKER-USER iifname "$g" accept
		in_ns gw nft insert rule ip filter DOCKER-USER oifname "$g" accept
		foreign_tables >"$TT_WORK/foreign"
	fi
	check "spoke 1 reaches the LAN" wait_for 20 can_ping s1 10.9.0.2
	check "which reaches it" can_ping h 10.77.0.11
	kept_apart
	check "stop" tt_stop gw "$g"
	check "its rules are untouched" untouched
	check "and ours are gone" gone_table
done

restored() {
	at_least "$1" status gw "$g" .gateway.firewall_restored
}

echo "flushed:"
load docker
in_ns gw nft add rule ip filter FORWARD accept
gateway_start
check "spoke 1 reaches the LAN" wait_for 20 can_ping s1 10.9.0.2
bg_ns gw "$TT_WORK/events.txt" taltun events --json "$g"
wait_for 20 in_ns gw sh -c "ss -xHn state connected src /run/taltun/$g.sock | grep -q ."
in_ns gw nft flush ruleset
check "the table is back" wait_for 20 has_table
check "as it was" wait_for 20 in_ns gw taltun firewall show "$g"
check "the log says so, and who did it" wait_for 20 said 1 'event=firewall.restored was=removed by=nft'
check "the event too" wait_for 20 grep -q '"event": *"firewall".*put back' "$TT_WORK/events.txt"
equal "Docker's rules are not ours to bring back" "" "$(foreign_tables)"
kept_apart
check "spoke 1 reaches the LAN" can_ping s1 10.9.0.2

echo "changed:"
# whoever changes it again and again is followed ever more slowly
in_ns gw nft flush chain inet "$table" forward
check "a chain is put back" wait_for 20 restored 2
check "as it was" wait_for 20 in_ns gw taltun firewall show "$g"
in_ns gw nft add rule inet "$table" from_tunnel accept
check "an added rule is taken out" wait_for 20 restored 3
check "as it was" wait_for 20 in_ns gw taltun firewall show "$g"
in_ns gw nft add table ip other
in_ns gw nft delete table ip other
in_ns gw nft reset counters >/dev/null 2>&1
sleep 0.5
equal "what others do with theirs is nothing to us" 3 "$(status gw "$g" .gateway.firewall_restored)"

echo "flushed while peers try to reach each other:"
in_ns s1 ping -n -i 0.02 -c 100 -W 1 10.77.0.12 >"$TT_WORK/ping.txt" 2>&1 &
pinger=$!
for _ in 1 2 3 4 5; do
	in_ns gw nft flush ruleset
	sleep 0.4
done
wait "$pinger"
check "none of 100 packets passes" grep -q ' 0 received' "$TT_WORK/ping.txt"
check "the table is back" wait_for 40 has_table
check "though not at once each time" test "$(status gw "$g" .gateway.firewall_restored)" -lt 9

echo "none at all:"
gateway_config "ip_forward = true" "firewall = false"
check "reload" in_ns gw taltun reload "$g"
equal "there is no table" "" "$(in_ns gw nft list ruleset)"
check "spoke 1 does not reach spoke 2" reaches_none s1:10.77.0.12 s1:fd77::12
check "spoke 1 reaches the LAN" can_ping s1 10.9.0.2
finish
