#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Who else may have the NIC, and who may not have it at all: other XDP programs at the start and while
# it runs, missing rights, interfaces without XDP; attaching fifty times; queues that run dry.
#
#   namespace a                                        namespace b
#   [v0 10.8.0.1]------------------- veth -------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~ tunnel ~~~~~~~~~~~~~~~~ [tt..b 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"
. "$(dirname "$0")/support/stop_worker.sh"

need_root
need_taltund
need_commands jq ping socat python3
[ -x "$TT_TOOLS/foreign_xdp" ] || skip_all "needs $TT_TOOLS/foreign_xdp (make tools)"
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

conf_a=$TT_WORK/a.toml
a_config() {
	node_config "$conf_a" "$ta" a 10.77.0.1/24 51820
	printf '[datapath]\nmode = "xdp"\ninterfaces = ["v0"]\n' >>"$conf_a"
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$conf_a"
	node_peer "$conf_a" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
}
a_config
node_config "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 51820
printf '[datapath]\nmode = "socket"\n' >>"$TT_WORK/b.toml"
node_peer "$TT_WORK/b.toml" a 10.77.0.1/32

nic() { status a "$ta" ".datapath.interfaces[0]$1"; }
mode_is() { [ "$(nic .mode)" = "$1" ]; }
reason_is() { nic .reason | grep -q "^$1"; }
# alive NS ADDRESS: three answers within a second, whatever is lost before.
alive() { in_ns "$1" ping -n -q -i 0.05 -c 3 -w 1 "$2"; }
attached() { in_ns a ip -d link show v0 | grep -q 'prog/xdp'; }
redirects() {
	local was
	was=$(nic .steering.redirected)
	alive a 10.77.0.2 && [ "$(nic .steering.redirected)" -gt "$was" ]
}

# foreign hold|take MODE
foreign() {
	: >"$TT_WORK/foreign.txt"
	bg_ns a "$TT_WORK/foreign.txt" "$TT_TOOLS/foreign_xdp" "$1" v0 "$2"
	foreign_pid=$BG_PID
	wait_for 5 grep -q attached "$TT_WORK/foreign.txt"
}
foreign_id() { in_ns a ip -j -d link show v0 | jq '.[0].xdp.prog.id'; }

check "b starts" tt_start b "$TT_WORK/b.toml"
check "a starts" tt_start a "$conf_a"
[ "$(nic .mode)" = "native copy" ] || skip_all "no native AF_XDP here: $(nic .reason)"
check "ping" wait_for 10 can_ping a 10.77.0.2
tt_stop a "$ta"

echo "somebody else has it at the start:"
for mode in native generic; do
	check "$mode: somebody's program" foreign hold $mode || cat "$TT_WORK/foreign.txt"
	id=$(foreign_id)
	check "$mode: a starts" tt_start a "$conf_a"
	equal "$mode: by the sockets" socket "$(nic .mode)"
	equal "$mode: and says who has it" "xdp held by program foreign (id $id)" "$(nic .reason)"
	check "$mode: traffic" wait_for 5 can_ping a 10.77.0.2
	equal "$mode: it is not touched" "$id" "$(foreign_id)"
	kill_pids 2 "$foreign_pid"
	check "$mode: it goes, and a takes over" wait_for 5 mode_is "native copy"
	check "$mode: traffic past the kernel" wait_for 3 redirects
	[ $mode = generic ] || tt_stop a "$ta"
done

echo "somebody else takes it while it runs:"
for mode in native generic; do
	was=$(nic .restarts)
	check "$mode: a's program is torn off and replaced" foreign take $mode
	check "$mode: traffic within a second" alive a 10.77.0.2
	check "$mode: both ways" alive b 10.77.0.1
	check "$mode: a goes by the sockets" wait_for 3 mode_is socket
	check "$mode: and says who has it" reason_is "xdp held by program foreign"
	check "$mode: TCP" tcp_copy b a 10.77.0.1
	less "$mode: counted" "$was" "$(nic .restarts)"
	kill_pids 2 "$foreign_pid"
	check "$mode: it goes, and a takes over" wait_for 10 mode_is "native copy"
	check "$mode: traffic past the kernel" wait_for 3 redirects
done
check "a's program is torn off" in_ns a "$TT_TOOLS/foreign_xdp" tear v0
check "traffic within a second" alive a 10.77.0.2
check "a attaches anew" wait_for 5 redirects
equal "no engine died" 0 "$(status a "$ta" .restarts)"

echo "attached fifty times:"
set_mode() {
	sed -i "s/^mode = .*/mode = \"$1\"/" "$conf_a"
	in_ns a taltun reload "$ta"
}
# What the monitor and the engine hold: descriptors, mappings of packet memory, memory of their own.
# Not those by which the watchdog sees whether a worker gets a CPU: two of each, when it is slow first.
held() {
	local p
	for p in "$(tt_pid a "$ta")" "$(engine_pid "$(tt_pid a "$ta")")"; do
		echo "$(find "/proc/$p/fd" -mindepth 1 ! -lname '/proc/*/stat' | wc -l) $(grep -c taltun-umem "/proc/$p/maps")"
	done | xargs
}
own_kb() { awk '/^RssAnon/ { print $2 }' "/proc/$(engine_pid "$(tt_pid a "$ta")")/status"; }
check "once" eval "set_mode socket && set_mode xdp"
# What a question leaves open for a moment is not held.
held_settles() { [ "$(held)" = "$(sleep 0.2 && held)" ]; }
wait_for 5 held_settles
before=$(held) kb=$(own_kb) bad=0
bg_ns a "$TT_WORK/ping.txt" ping -n -q -i 0.02 10.77.0.2
pinger=$BG_PID
for _ in $(seq 50); do
	set_mode socket && set_mode xdp && wait_for 3 mode_is "native copy" || bad=$((bad + 1))
done >/dev/null
equal "each time native copy" 0 "$bad"
kill -INT "$pinger"
wait "$pinger" 2>/dev/null
less "hardly a ping was lost" "$(awk '/packets transmitted/ { print ($1 - $4) * 1000 / $1 }' "$TT_WORK/ping.txt")" 20
held_as_before() {
	echo "$before, now $(held): $(readlink "/proc/$(engine_pid "$(tt_pid a "$ta")")"/fd/* | sort | uniq -c)"
	[ "$(held)" = "$before" ]
}
wait_for 5 held_as_before
check "no descriptor and no mapping is left over" held_as_before
# A sanitizer keeps what was freed.
most=2048
! grep -q __asan_init "$TT_BIN/taltund" || most=262144
less "and no memory, KiB" "$(($(own_kb) - kb))" $most
equal "all frames are there" "$(nic '.queues[0].rings.frames')" \
	"$(nic '.queues[0].rings | .free + .fill + .rx + .sending')"
check "traffic past the kernel" wait_for 3 redirects
tt_stop a "$ta"
check_not "nothing is left on the interface" attached

echo "queues that run dry:"
a_config 'umem_mb = 16' 'workers = 2'
check "a starts with 16 MiB" tt_start a "$conf_a"
equal "no more" 4096 "$(nic '.queues[0].rings.frames')"
check "TCP to it" tcp_copy b a 10.77.0.1 20000000
check "TCP from it" tcp_copy a b 10.77.0.2 20000000
# blast: small packets to a, until blast_ends.
blast() {
	rm -f "$TT_WORK/enough"
	in_ns b timeout 30 python3 -c 'import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while not os.path.exists(sys.argv[1]):
    for i in range(100):
        s.sendto(b"x" * 100, ("10.77.0.1", 9))' "$TT_WORK/enough" &
	blaster=$!
}
blast_ends() {
	touch "$TT_WORK/enough"
	wait "$blaster"
}
redirected() { nic .steering.redirected; }
dropped() { nic '.queues[0].kernel | .rx_dropped + .rx_ring_full + .rx_fill_empty'; }
ran_dry() { [ "$(dropped)" -gt 0 ]; }
# How many come in a second, once they do.
was=$(redirected)
blast
redirects_more() { [ "$(redirected)" -gt "$((was + 1000))" ]; }
wait_for 5 redirects_more
was=$(redirected) from=${EPOCHREALTIME/[.,]/}
sleep 0.5
rate=$((($(redirected) - was) * 1000000 / (${EPOCHREALTIME/[.,]/} - from)))
# The 2,048 frames that wait to be filled, before the watchdog takes the queue out of the map, which
# it does after 200 ms.
if stop_worker a "$(engine_pid "$(tt_pid a "$ta")")" worker-00 1.5; then
	wait_for 1 ran_dry
	blast_ends
	check "traffic goes on by the other worker" alive b 10.77.0.1
	in_ns b ping -n -q -i 0.01 -c 100 -W 1 10.8.0.1 >"$TT_WORK/ping.txt" 2>&1
	check "the host's own traffic does not notice" grep -q ' 0% packet loss' "$TT_WORK/ping.txt"
	resume_worker
	if [ "$rate" -gt 40000 ]; then
		less "it ran dry" 0 "$(dropped)"
	elif ran_dry; then
		pass "it ran dry"
	else
		skip "whether it ran dry: $rate packets a second are too few"
	fi
	check "it takes part again" wait_for 3 eval "! status a $ta '.datapath.workers[].hung' | grep -q true"
	check "past the kernel" wait_for 3 redirects
else
	blast_ends
fi
check "TCP to it" tcp_copy b a 10.77.0.1 20000000
all_there() { [ "$(nic '.queues[0].rings | .frames - .free - .fill - .rx - .sending')" = 0 ]; }
check "all frames are there" wait_for 2 all_there
echo "        $(nic '.queues[0].kernel | tojson')"
# One that is stopped for 2 s is given up, which is right where a busy machine lets it go so late.
if [ "${stopped_ms:-0}" -lt 1900 ]; then
	equal "no engine died" 0 "$(status a "$ta" .restarts)"
else
	skip "whether an engine died: its worker was stopped for $stopped_ms ms"
fi
tt_stop a "$ta"

echo "without the rights:"
a_config
# without NAME WORDS CAPABILITY...: a starts without those, and says so.
without() {
	local words=$2
	daemon_start a "$ta" setpriv --bounding-set="$1" --inh-caps=-all "$TT_BIN/taltund" -f --config "$conf_a" &&
		wait_for 10 link_flag_up a "$ta" || return 1
	nic .reason
	mode_is socket && nic .reason | grep -q "$words"
}
if setpriv --bounding-set=-bpf,-sys_admin true 2>/dev/null; then
	check "no CAP_BPF: the sockets, and why" without -bpf,-sys_admin,-perfmon 'CAP_BPF'
	check "no CAP_BPF: traffic" wait_for 10 can_ping a 10.77.0.2
	tt_stop a "$ta"
	check "no CAP_NET_RAW: the sockets, and why" without -net_raw 'CAP_NET_RAW'
	check "no CAP_NET_RAW: traffic" wait_for 10 can_ping a 10.77.0.2
	check_not "no CAP_NET_RAW: nothing stays attached" attached
	tt_stop a "$ta"
else
	skip "without the rights: setpriv does not know the capabilities"
fi

echo "without XDP:"
in_ns a ip tuntap add dev o0 mode tun
in_ns a ip link set o0 up
sed -i 's/"v0"/"o0", "nosuch0"/' "$conf_a"
check "a starts with a TUN and an absent interface" tt_start a "$conf_a"
equal "the TUN goes by the sockets" socket "$(nic .mode)"
equal "and why" "no Ethernet interface" "$(nic .reason)"
equal "the other, too" "no such interface" "$(status a "$ta" '.datapath.interfaces[1].reason')"
check "traffic" wait_for 10 can_ping a 10.77.0.2
finish
