#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What stands still: all processes of a node for a few seconds (case 34), and whoever reads its log.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~[tun 10.77.0.2] b
#     [v0 10.8.0.1]---- veth ----[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands jq ping wg
need_taltund
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"' "keepalive = 1"
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.8.0.1:51820"' "keepalive = 1"
check "a starts" tt_start a "$TT_WORK/a.toml"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "a reaches b" wait_for 20 can_ping a 10.77.0.2

echo "case 34: stopped for 8 s"
monitor=$(tt_pid a "$ta")
mapfile -t children < <(pgrep -P "$monitor")
handshakes_before=$(handshakes b "$tb" a)
in_ns a ping -n -q -i 0.1 -w 30 10.77.0.2 >"$TT_WORK/ping" 2>&1 &
ping=$!
kill -STOP "$monitor" "${children[@]}"
sleep 8
sent_before=$(in_ns a cat /sys/class/net/v0/statistics/tx_packets)
kill -CONT "$monitor" "${children[@]}"
check "traffic again at once" in_ns a ping -n -q -c 1 -W 4 10.77.0.2
kill "$ping"
wait "$ping"
# What waited in the TUN goes out, a keepalive or two; no handshake is due.
less "no burst of what was due meanwhile" \
	$(($(in_ns a cat /sys/class/net/v0/statistics/tx_packets) - sent_before)) 400
less "nor of handshakes" $(($(handshakes b "$tb" a) - handshakes_before)) 3
equal "the engine is the same" 0 "$(status a "$ta" .restarts)"
check "and answers" in_ns a wg show "$ta" public-key
engine=$(engine_pid a "$ta")
before=$(cpu_ms "$engine")
wait_for 2 false
less "no timer runs wild, CPU ms in 2 s" $(($(cpu_ms "$engine") - before)) 300
tt_stop a "$ta"

echo "nobody reads the log"
mkfifo "$TT_WORK/log"
exec 9<>"$TT_WORK/log"
head -c 65536 /dev/zero | dd of="$TT_WORK/log" oflag=nonblock bs=4096 status=none
bg_ns a "$TT_WORK/log" "$TT_BIN/taltund" -f --log-level debug --config "$TT_WORK/a.toml"
daemon=$BG_PID
check "a starts" wait_for 20 in_ns a wg show "$ta" public-key
check "and reaches b" wait_for 20 can_ping a 10.77.0.2
check "it is told to stop" in_ns a taltun down "$ta"
check "and ends" wait_for 20 pid_gone "$daemon"
finish
