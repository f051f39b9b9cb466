#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The work of scripts/soak.sh, which says what it does; its options. SIGUSR1 ends it with a report.
#
#   a [tun 10.77.0.1]~~~~~~~~~~~~~~~~~~~~~~~~~[tun 10.77.0.2] b     both by file; a waits, b roams
#     [w0 10.9.0.1]------- tools/wan -------[w0 10.9.0.2 or .12]
#
# With --mesh, as support/nats.sh draws it: hub h, gateway gw (public), l1 behind a port-restricted NAT,
# l2 behind a symmetric one; l1 and l2 reach each other by the hub's UDP relay.
#
. "$(dirname "$0")/../netns/lib.sh"
. "$(dirname "$0")/../netns/nodes.bash"

minutes=120 mesh='' rate=256 every=''
while [ $# -gt 0 ]; do
	case $1 in
	--minutes) minutes=$2 && shift ;;
	--mesh) mesh=1 ;;
	--rate) rate=$2 && shift ;;
	--every) every=$2 && shift ;;
	--keep) TT_KEEP=1 ;;
	esac
	shift
done
seconds=$((minutes * 60))
if [ "$minutes" -lt 15 ]; then
	every=${every:-15} warm_up=30 settle=8
else
	every=${every:-60} warm_up=180 settle=15
fi
recover=20
stop=''
trap 'stop=1' USR1 INT TERM

need_root
need_commands wg jq ping socat python3
need_taltund
if [ -n "$mesh" ]; then
	. "$TT_ROOT/tests/netns/support/nats.sh"
	. "$TT_ROOT/tests/netns/support/mesh.sh"
	need_mesh
fi
for tool in wan rekey_storm; do
	[ -x "$TT_TOOLS/$tool" ] || skip_all "needs $TT_TOOLS/$tool (make tools)"
done

# These programs to the end, whatever is built meanwhile.
mkdir "$TT_WORK/bin" "$TT_WORK/out"
cp "$TT_BIN"/taltun* "$TT_TOOLS/wan" "$TT_TOOLS/rekey_storm" "$TT_WORK/bin"
TT_BIN=$TT_WORK/bin TT_TOOLS=$TT_WORK/bin
PATH=$TT_BIN:$PATH
here=$TT_ROOT/tests/soak out=$TT_WORK/out

engine_of() {
	local p
	for p in $(ip netns pids "$(ns_name "$1")"); do
		[ "$(cat "/proc/$p/comm" 2>/dev/null)" != taltun-engine ] || echo "$p"
	done
}
new_engine() {
	local now
	now=$(engine_of "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

# kill_engine NODE: and waits for the next one.
kill_engine() {
	local had
	had=$(engine_of "$1")
	[ -n "$had" ] && kill -KILL "$had" && wait_for 20 new_engine "$1" "$had"
}

# flow NAME FROM TO ADDRESS
flow() {
	bg_ns "$2" "$TT_WORK/traffic.log" python3 "$here/traffic.py" run "$1" "$4" 7001 \
		"$out/traffic-$1.jsonl" "$rate"
}
servers() {
	local n
	for n in "$@"; do
		bg_ns "$n" "$TT_WORK/server-$n.log" python3 "$here/traffic.py" serve 7001
		wait_for 10 grep -q ready "$TT_WORK/server-$n.log" || return 1
	done
}

# watch NODE:INTERFACE...
watch() {
	local n list=()
	for n in "$@"; do
		case $n in
		*:*) list+=("${n%:*}=${tt_mnt[${n%:*}]}:${n#*:}") ;;
		*) list+=("$n=${tt_mnt[$n]}") ;;
		esac
	done
	python3 "$here/sample.py" "$out/samples.jsonl" 5 "${list[@]}" >"$TT_WORK/sample.log" 2>&1 &
	tt_pids+=("$!")
}

now_s() { echo "${EPOCHREALTIME/,/.}"; }

# disturb WHAT COMMAND...
disturb() {
	local what=$1 from failed=''
	shift
	from=$(now_s)
	"$@" >"$TT_WORK/disturb.out" 2>&1 || failed="failed: $(tail -n 1 "$TT_WORK/disturb.out")"
	jq -cn --argjson t "$from" --argjson until "$(now_s)" --arg what "$what" --arg failed "$failed" \
		'{t: $t, until: $until, what: $what} + if $failed != "" then {failed: $failed} else {} end' \
		>>"$out/disturbances.jsonl"
}

second_half() { [ $(($(date +%s) - began)) -ge $((seconds / 2)) ]; }
turn=0 # of disturbances

# --- two nodes --------------------------------------------------------------------------------------

config_a() {
	toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
	toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32
	toml_peer "$TT_WORK/a.toml" storm 10.77.0.9/32
	[ $((turn % 2)) -eq 0 ] || toml_peer "$TT_WORK/a.toml" extra 10.78.0.0/24
}

pair_start() {
	ns_add a b
	ta=$(ifname a) tb=$(ifname b)
	wg_keys a b storm extra
	in_ns b sysctl -qw net.ipv4.conf.all.promote_secondaries=1
	wan_start a w0 10.9.0.1/24 b w0 10.9.0.2/24 --delay-ms 10 --jitter-ms 2 --loss 1 || return 1
	config_a
	toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
	toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.9.0.1:51820"' "keepalive = 10"
	tt_start a "$TT_WORK/a.toml" && tt_start b "$TT_WORK/b.toml" && wait_for 30 can_ping b 10.77.0.1 &&
		servers a b || return 1
	flow b-a b a 10.77.0.1
	flow a-b a b 10.77.0.2
	watch "a:$ta" "b:$tb"
}

move_address() {
	local from=2 to=12
	in_ns b ip -4 addr show dev w0 | grep -q '10\.9\.0\.2/' || { from=12 to=2; }
	in_ns b ip addr add 10.9.0.$to/24 dev w0 && in_ns b ip addr del 10.9.0.$from/24 dev w0
}
move_port() { in_ns b wg set "$tb" listen-port $((51820 + turn % 2)); }
reload_a() { config_a && in_ns a timeout 20 taltun reload "$ta"; }
blackout() { wan_set blackhole on && sleep 3 && wan_set blackhole off; }
reconfigure_b() {
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do
		in_ns b wg set "$tb" peer "$(pub extra)" allowed-ips 10.78.$i.0/24 || return 1
	done
	in_ns b wg set "$tb" peer "$(pub extra)" remove
}
storm() {
	in_ns b timeout 60 "$TT_TOOLS/rekey_storm" "$(key_file storm)" "$TT_WORK/a.pub" 10.9.0.1 51820 \
		10.77.0.9 10.77.0.1 "$([ "$minutes" -lt 15 ] && echo 20 || echo 10)"
}

pair_disturb() {
	case $((turn % 8)) in
	0) if second_half; then disturb "engine of b killed" kill_engine b; else disturb "engine of a killed" kill_engine a; fi ;;
	1) disturb "reload" reload_a ;;
	2) disturb "another address" move_address ;;
	3) disturb "storm of rekeys" storm ;;
	4) disturb "blackout of 3 s" blackout ;;
	5) disturb "another udp_port" move_port ;;
	6) disturb "ten changes by wg" reconfigure_b ;;
	7) disturb "reload" reload_a ;;
	esac
}

# --- a mesh -----------------------------------------------------------------------------------------

# shellcheck disable=SC2119 # the hub as it is by default
mesh_start() {
	local n
	NATS_DELAY_MS=5
	nats_start && hub_start && node gw i e0 delay=5 && enroll gw --role gateway || return 1
	for n in 1 2; do
		box "b$n" "$([ $n = 1 ] && echo port || echo sym)" delay=5 && node "l$n" "b$n" &&
			enroll "l$n" --group staff || return 1
	done
	hub allow staff staff || return 1
	for n in gw b1 b2; do
		link_set $n loss 1 && link_set $n jitter-ms 2 || return 1
	done
	wait_for 30 can_ping l1 "$(node_ip gw)" && wait_for 30 can_ping l2 "$(node_ip l1)" && servers gw l1 || return 1
	flow l1-gw l1 gw "$(node_ip gw)"
	flow l2-gw l2 gw "$(node_ip gw)"
	flow l2-l1 l2 l1 "$(node_ip l1)"
	watch h gw:tt0 l1:tt0 l2:tt0
}

hub_restart() { hub_stop && hub_serve; }
hub_crash() { hub_kill && hub_serve; }
address_event() { in_ns l1 ip addr add 192.168.250.1/32 dev e0 && sleep 1 && in_ns l1 ip addr del 192.168.250.1/32 dev e0; }
black_path() { box_drop b1 with "${nats_addr[gw]}" && sleep 5 && box_pass b1; }
mesh_victim() {
	if ! second_half; then echo gw; elif [ $((turn % 14)) -lt 7 ]; then echo l1; else echo l2; fi
}

mesh_disturb() {
	local who
	case $((turn % 7)) in
	0) who=$(mesh_victim) && disturb "engine of $who killed" kill_engine "$who" ;;
	1) disturb "hub restarted" hub_restart ;;
	2) disturb "NAT of l1 forgets" box_forget b1 ;;
	3) disturb "direct path black for 5 s" black_path ;;
	4) disturb "hub killed" hub_crash ;;
	5) disturb "another address comes and goes" address_event ;;
	6) disturb "reload" in_ns l1 timeout 20 taltun reload tt0 ;;
	esac
}

# --- the run ----------------------------------------------------------------------------------------

kind=${mesh:+mesh}
kind=${kind:-pair}
echo "soak: $minutes minutes, a disturbance every $every s, work in $TT_WORK"
check "it starts" "${kind}_start" || finish
began=$(date +%s)
end=$((began + seconds)) next=$((began + (every < 30 ? every : 30))) said=$began
while [ -z "$stop" ] && now=$(date +%s) && [ "$now" -lt "$end" ]; do
	# the last ones get the time that they may take
	if [ "$now" -ge "$next" ] && [ $((now + recover + 5)) -lt "$end" ]; then
		"${kind}_disturb"
		turn=$((turn + 1)) next=$((now + every))
	fi
	if [ $((now - said)) -ge 30 ]; then
		said=$now
		python3 "$here/report.py" line "$out"
	fi
	sleep 1
done
[ -z "$stop" ] || echo "soak: stopped, the report so far"
# what is under way comes in, or is missed
[ -n "$stop" ] || sleep 4
if python3 "$here/report.py" end "$out" "$warm_up" "$recover" "$settle"; then
	pass "soak"
else
	fail "soak"
fi
if [ "$kind" = mesh ]; then mesh_finish; else finish; fi
