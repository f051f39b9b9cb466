#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Case 29. kill -9 of the engine: the monitor keeps TUN, routes and sockets and starts another, so
# that what runs through the tunnel survives. kill -9 of everything: a start anew cleans up and has
# traffic at once.
#
#   namespace a                                 namespace b
#   [v0 10.8.0.1]------------- veth ------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~~~~ tunnel ~~~~~~~~ [tt..b 10.77.0.2]
#   by file, with routes                        by wg(8)
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands wg jq ping socat
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
ta=$(ifname a) tb=$(ifname b)
wg_keys a b c d

conf=$TT_WORK/a.toml
node_config "$conf" "$ta" a 10.77.0.1/24,fd77::1/64 51820
node_peer "$conf" b 10.77.0.2/32,fd77::2/128,10.99.0.0/24 'endpoint = "10.8.0.2:51820"' \
	"keepalive = 25" # asks for a session by itself
check "a starts" tt_start a "$conf"
start_b() {
	tt_start b "$tb" || return 1
	addr_add b "$tb" 10.77.0.2/24,fd77::2/64
	in_ns b ip link set "$tb" up
}
configure_b() {
	in_ns b wg set "$tb" listen-port 51820 private-key "$(key_file b)" \
		peer "$(pub c)" allowed-ips 10.78.0.0/24 persistent-keepalive 7 \
		peer "$(pub a)" allowed-ips 10.77.0.1/32,fd77::1/128 endpoint 10.8.0.1:51820
}
check "b starts" start_b
check "b is configured" configure_b
check "ping" wait_for 20 can_ping a 10.77.0.2

new_engine() {
	local now
	now=$(engine_pid "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

# kill_engine NS IFNAME: and waits for the next one.
kill_engine() {
	local monitor engine
	monitor=$(tt_pid "$1" "$2")
	engine=$(engine_pid "$monitor")
	[ -n "$engine" ] || return 1
	kill -KILL "$engine"
	wait_for 20 new_engine "$monitor" "$engine"
}

echo "case 29: kill -9 of the engine"

# --- the engine -----------------------------------------------------------------------------------

routes() { in_ns a ip -4 route; in_ns a ip -6 route; }
routes >"$TT_WORK/routes.before"
check "kill -9 of a's engine" kill_engine a "$ta"
check "there is another, and traffic" wait_for 20 can_ping a 10.77.0.2
routes >"$TT_WORK/routes.after"
check "routes and addresses are as before" cmp "$TT_WORK/routes.before" "$TT_WORK/routes.after"
equal "status tells of it" 1 "$(status a "$ta" .restarts)"

in_ns b wg showconf "$tb" >"$TT_WORK/b.before"
check "kill -9 of b's engine" kill_engine b "$tb"
check "wg is answered" wait_for 20 in_ns b wg show "$tb" public-key
in_ns b wg showconf "$tb" >"$TT_WORK/b.after"
check "what was configured by wg is there" cmp "$TT_WORK/b.before" "$TT_WORK/b.after"
check "traffic" wait_for 20 can_ping b 10.77.0.1
check "wg set after it" in_ns b wg set "$tb" peer "$(pub d)" allowed-ips 10.79.0.0/24
in_ns b wg set "$tb" peer "$(pub c)" remove
in_ns b wg showconf "$tb" >"$TT_WORK/b.before"
sleep 0.1 # saves are 50 ms apart
check "kill -9 soon after a change" kill_engine b "$tb"
check "wg is answered" wait_for 20 in_ns b wg show "$tb" public-key
in_ns b wg showconf "$tb" >"$TT_WORK/b.after"
check "the change is there" cmp "$TT_WORK/b.before" "$TT_WORK/b.after"

check "a udp_port that is not the file's" in_ns a wg set "$ta" listen-port 51833
check "traffic from there" wait_for 20 can_ping a 10.77.0.2
check "kill -9 of a's engine" kill_engine a "$ta"
# the second would come 5 s later
check "the first handshake is from there, too" wait_for 4 can_ping a 10.77.0.2
equal "which is the udp_port still" 51833 "$(in_ns a wg show "$ta" listen-port)"
check "the file's again" in_ns a wg set "$ta" listen-port 51820
check "traffic" wait_for 20 can_ping a 10.77.0.2

# A stream through the tunnel, either direction, while both engines are killed.
kill_later() {
	sleep 0.5
	kill_engine a "$ta"
	sleep 1
	kill_engine b "$tb"
}
for to in 10.77.0.1 10.77.0.2; do
	from=$([ $to = 10.77.0.2 ] && echo a || echo b)
	other=$([ "$from" = a ] && echo b || echo a)
	kill_later &
	killer=$!
	check "300 MB from $from while both engines are killed" tcp_copy "$from" "$other" "$to" 300000000
	check "both were" wait "$killer"
	check "ping" wait_for 20 can_ping a 10.77.0.2
done
check "b's configuration is still there" cmp "$TT_WORK/b.before" <(in_ns b wg showconf "$tb")
equal "nothing was restarted but the engine" "$(tt_pid a "$ta")" "$(pgrep -o -f "^$TT_BIN/taltund.*$conf")"

# A resolver that dies is replaced too.
for p in $(pgrep -P "$(tt_pid a "$ta")"); do
	[ "$(cat "/proc/$p/comm")" != taltun-resolver ] || kill -KILL "$p"
done
check "kill -9 of the resolver" wait_for 20 can_ping a 10.77.0.2

echo "case 29: kill -9 of everything"

# --- everything -------------------------------------------------------------------------------------

# The kernel takes it away a moment after the process is gone.
gone() { ! in_ns "$1" ip link show "$2"; }

# kill_all NS IFNAME
kill_all() {
	local pids p
	mapfile -t pids < <(family_pids "$(tt_pid "$1" "$2")")
	kill -KILL "${pids[@]}"
	wait "${pids[0]}" 2>/dev/null
	for p in "${pids[@]}"; do
		wait_for 20 pid_gone "$p" || return 1
	done
}
check "kill -9 of all of a" kill_all a "$ta"
check "its interface goes with it" wait_for 20 gone a "$ta"
check "its sockets are left behind" in_ns a test -S "/run/wireguard/$ta.sock"
from=${EPOCHREALTIME/[.,]/}
check "a starts again" tt_start a "$conf"
check "and has traffic" wait_for 20 can_ping a 10.77.0.2 -W 0.1
echo "        $(((${EPOCHREALTIME/[.,]/} - from) / 1000)) ms after the start"
check "TCP" tcp_copy b a 10.77.0.1

# The monitor alone: the rest goes with it, for nobody would clean up after them.
monitor=$(tt_pid a "$ta")
mapfile -t family < <(family_pids "$monitor")
kill -KILL "$monitor"
wait "$monitor" 2>/dev/null
for p in "${family[@]}"; do
	check "kill -9 of the monitor: process ends" wait_for 20 pid_gone "$p"
done
check "the interface goes with it" wait_for 20 gone a "$ta"
check "a starts again" tt_start a "$conf"
check "and has traffic" wait_for 20 can_ping a 10.77.0.2
tt_stop a "$ta"
tt_stop b "$tb"
check_not "a leaves no socket" in_ns a test -e "/run/wireguard/$ta.sock"

# Who answers only, and knew the other's address from packets alone, asks it at once when it is back.
sed -i '/^endpoint/d' "$conf"
node_peer "$conf" d 10.79.0.2/32
in_ns a find /var/lib/taltun -type f -delete
check "a starts without b's endpoint" tt_start a "$conf"
check "b starts" start_b
configure_b
check "b asks a" wait_for 20 can_ping b 10.77.0.1
saved() { in_ns a grep -q "$(pub b)" -r /var/lib/taltun || in_ns a grep -q 10.8.0.2 -r /var/lib/taltun; }
check "a writes down where b is" wait_for 20 saved
# An initiation that somebody has kept is worth nothing after the restart.
captured() { in_ns a grep -q "$(pub d)" -r /var/lib/taltun; }
in_ns b "$TT_TOOLS/hsflood" capture "$(key_file d)" "$TT_WORK/a.pub" 10.8.0.1 51820 \
	"$TT_WORK/captured" >/dev/null
equal "d is answered" 0 $?
check "a writes down d's stamp soon" wait_for 20 captured
check "kill -9 of all of a" kill_all a "$ta"
from=${EPOCHREALTIME/[.,]/}
check "a starts again" tt_start a "$conf"
check "and reaches b before b has noticed" wait_for 20 can_ping a 10.77.0.2
echo "        $(((${EPOCHREALTIME/[.,]/} - from) / 1000)) ms after the start"
check "b reaches a" wait_for 20 can_ping b 10.77.0.1
in_ns b "$TT_TOOLS/hsflood" replay "$TT_WORK/captured" 10.8.0.1 51820 >"$TT_WORK/replay.json"
equal "d's initiation is not answered again" 0 "$(jq '.responses + .cookies' "$TT_WORK/replay.json")"
equal "and counted" 2 "$(drops a "$ta" hs_replayed_timestamp)"
tt_stop a "$ta"

# --- what a killed one leaves in the host ------------------------------------------------------------

rules() { in_ns a ip rule; in_ns a ip -6 rule; in_ns a ip route show table all; in_ns a ip -6 route show table all; }
rules | sort >"$TT_WORK/rules.clean"
node_config "$conf" "$ta" a 10.77.0.1/24,fd77::1/64 51820
node_peer "$conf" b 0.0.0.0/0,::/0 'endpoint = "10.8.0.2:51820"'
check "a starts with default routes" tt_start a "$conf"
check "traffic" wait_for 20 can_ping a 10.77.0.2
check_not "there are rules" cmp "$TT_WORK/rules.clean" <(rules | sort)
check "kill -9 of all of a" kill_all a "$ta"
check_not "a killed one cannot clean up" cmp "$TT_WORK/rules.clean" <(rules | sort)
check "a starts again" tt_start a "$conf"
check "traffic" wait_for 20 can_ping a 10.77.0.2
# The second time counts: rules that add up would be there twice.
equal "no rule is there twice" "" "$(in_ns a ip rule | cut -f2- | sort | uniq -d)"
tt_stop a "$ta"
check "stopped properly, nothing is left" diff "$TT_WORK/rules.clean" <(rules | sort)
check "and again" tt_start a "$conf"
check "kill -9" kill_all a "$ta"
node_config "$conf" "$ta" a 10.77.0.1/24,fd77::1/64 51820
node_peer "$conf" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
check "a starts without default routes" tt_start a "$conf"
check_not "the rules of the killed one are gone" eval "in_ns a ip rule | grep -q fwmark"
check "traffic" wait_for 20 can_ping a 10.77.0.2
tt_stop a "$ta"
check "nothing is left" diff "$TT_WORK/rules.clean" <(rules | sort)
finish
