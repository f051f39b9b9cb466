#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A thousand rekeys, one every 22 ms or so, with full windows of pings in both directions: no packet meets
# a session that is not known yet or any more.
#
#   gw [tun 10.77.0.1]~~~~~~~~~~~~~~~~~~~~~~~ 10.77.0.2 tools/rekey_storm, in c
#      [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq ping
need_taltund
[ -x "$TT_TOOLS/rekey_storm" ] || skip_all "needs $TT_TOOLS/rekey_storm (make tools)"
rekeys=${TT_REKEYS:-1000}
ns_add gw c
veth gw v0 10.8.0.1/24 c v0 10.8.0.2/24
g=$(ifname g)
wg_keys gw c
# Attached before the first packet, and not when a handshake has told where the peer is.
[ -z "$TT_MODE" ] || export TALTUN_DATAPATH_INTERFACES=v0
# No limit to answers that the test is about to ask for.
in_ns gw sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000

toml "$TT_WORK/gw.toml" "$g" gw 10.77.0.1/24 "listen_port = 51820"
toml_datapath "$TT_WORK/gw.toml" "workers = 2"
toml_peer "$TT_WORK/gw.toml" c 10.77.0.2/32
check "gateway starts" tt_start gw "$TT_WORK/gw.toml"
bg_ns gw "$TT_WORK/events" taltun events "$g" --json
before=$(rss_kb "$(tt_pid gw "$g")")
in_ns c "$TT_TOOLS/rekey_storm" "$(key_file c)" "$TT_WORK/gw.pub" 10.8.0.1 51820 \
	10.77.0.2 10.77.0.1 "$rekeys" >"$TT_WORK/storm.json"
cat "$TT_WORK/storm.json"
storm() { jq ".$1" "$TT_WORK/storm.json"; }

equal "$rekeys handshakes" "$rekeys" "$(storm handshakes)"
# who listens too slowly is let go, and misses the rest: some are enough
told() { jq -se 'any(.[]; .event == "rekey" and .peer == "c" and .why != "")' "$TT_WORK/events" >/dev/null 2>&1; }
check "its events tell of rekeys" wait_for 20 told
equal "the gateway counts as many sessions" "$rekeys" "$(handshakes gw "$g" c)"
less "with data all the time" $((rekeys * 10)) "$(storm sent)"
for reason in data_unknown_index data_replayed data_too_old data_bad_auth data_expired_session \
	tx_counter_limit tx_staging_full; do
	equal "the gateway dropped none as $reason" 0 "$(drops gw "$g" $reason)"
done
[ -z "$TT_MODE" ] || equal "nor did the pinhole" 0 \
	"$(status gw "$g" '[.datapath.interfaces[].steering.unknown_index] | add')"
equal "the peer met no unknown session" 0 "$(storm unknown)"
equal "nor a packet it could not open" 0 "$(storm bad)"
equal "every ping was answered" "$(storm sent)" "$(storm received)"
less "hardly a handshake had to be repeated" "$(storm retries)" 20
less "sessions that are over leave no memory behind, KiB" \
	$(($(rss_kb "$(tt_pid gw "$g")") - before)) 16384
finish
