#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# kill -9 of the engine, and of everything, while AF_XDP carries the tunnel: nothing stays attached,
# no program stays loaded, and what else the host does on that interface never notices.
#
#   namespace a                                        namespace b
#   [v0 10.8.0.1]------------------- veth -------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~ tunnel ~~~~~~~~~~~~~~~~ [tt..b 10.77.0.2]
#   beside the tunnel: pings and datagrams from 10.8.0.2 to 10.8.0.1
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"

need_root
need_taltund
need_commands jq ping socat python3 iperf3
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
for n in "a b 1 2 $ta" "b a 2 1 $tb"; do
	# shellcheck disable=SC2086
	set -- $n
	node_config "$TT_WORK/$1.toml" "$5" "$1" "10.77.0.$3/24" 51820
	printf '[datapath]\nmode = "xdp"\ninterfaces = ["v0"]\n' >>"$TT_WORK/$1.toml"
	node_peer "$TT_WORK/$1.toml" "$2" "10.77.0.$4/32" "endpoint = \"10.8.0.$4:51820\""
done

nic() { status "$1" "$2" ".datapath.interfaces[0]$3"; }
mode_is() { [ "$(nic "$1" "$2" .mode)" = "$3" ]; }
attached() { in_ns a ip -d link show v0 | grep -q 'prog/xdp'; }
redirects() {
	local was
	was=$(nic a "$ta" .steering.redirected)
	in_ns a ping -n -q -i 0.02 -c 5 -W 1 10.77.0.2
	[ "$(nic a "$ta" .steering.redirected)" -gt "$was" ]
}
check "a starts" tt_start a "$TT_WORK/a.toml"
[ "$(nic a "$ta" .mode)" = "native copy" ] || skip_all "no native AF_XDP here: $(nic a "$ta" .reason)"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "ping" wait_for 10 can_ping a 10.77.0.2
check "past the kernel" wait_for 3 redirects

# A thousand numbered datagrams a second, and what became of them.
cat >"$TT_WORK/beside.py" <<'PY'
import signal, socket, struct, sys, time
what = sys.argv[1]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stop = []
signal.signal(signal.SIGTERM, lambda *a: stop.append(1))
if what == "send":
    n, next_at = 0, time.monotonic()
    while not stop:
        s.sendto(struct.pack("!I", n), ("10.8.0.1", 7000))
        n, next_at = n + 1, next_at + 0.001
        time.sleep(max(0, next_at - time.monotonic()))
    print(n)
else:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    s.bind(("10.8.0.1", 7000))
    s.settimeout(0.2)
    print("ready", flush=True)
    seen = set()
    while True: # to the end of what waits in the socket
        try:
            seen.add(s.recv(100))
        except socket.timeout:
            if stop:
                break
    print(len(seen))
PY
beside_start() {
	: >"$TT_WORK/receive.txt"
	: >"$TT_WORK/send.txt"
	: >"$TT_WORK/ping.txt"
	bg_ns a "$TT_WORK/receive.txt" python3 "$TT_WORK/beside.py" receive
	receiver=$BG_PID
	wait_for 5 grep -q ready "$TT_WORK/receive.txt"
	bg_ns b "$TT_WORK/send.txt" python3 "$TT_WORK/beside.py" send
	sender=$BG_PID
	bg_ns b "$TT_WORK/ping.txt" ping -n -i 0.005 -W 2 10.8.0.1
	pinger=$BG_PID
	sleep 0.3
}
# beside_ends MESSAGE MOST: how many of either may be lost.
beside_ends() {
	kill -INT "$pinger"
	kill -TERM "$sender"
	wait "$sender" "$pinger"
	sleep 0.3
	kill -TERM "$receiver"
	wait "$receiver"
	less "$1: datagrams lost of $(cat "$TT_WORK/send.txt")" \
		$(($(cat "$TT_WORK/send.txt") - $(tail -n 1 "$TT_WORK/receive.txt"))) "$2"
	check "$1: pings were answered" grep -q 'icmp_seq=' "$TT_WORK/ping.txt"
	less "$1: pings lost of $(awk '/transmitted/ { print $1 }' "$TT_WORK/ping.txt")" \
		"$(ping_lost "$TT_WORK/ping.txt")" "$2"
}

new_engine() {
	local now
	now=$(engine_pid "$1")
	[ -n "$now" ] && [ "$now" != "$2" ]
}

echo "the engine, three times:"
beside_start
for _ in 1 2 3; do
	monitor=$(tt_pid a "$ta") old=$(engine_pid "$(tt_pid a "$ta")")
	kill -KILL "$old"
	check "there is another" wait_for 5 new_engine "$monitor" "$old"
	check "traffic" wait_for 5 can_ping a 10.77.0.2 -W 0.2
	check "past the kernel" wait_for 5 redirects
	equal "the same program stayed attached" 1 "$(grep -c event=xdp.attached "$(tt_log a "$ta")")"
done
beside_ends "beside it" 1
equal "status counts them" 3 "$(status a "$ta" .restarts)"

echo "everything, three times:"
beside_start
for _ in 1 2 3; do
	id=$(in_ns a ip -j -d link show v0 | jq '.[0].xdp.prog.id')
	mapfile -t family < <(family_pids "$(tt_pid a "$ta")")
	kill -KILL "${family[@]}"
	wait "${family[0]}" 2>/dev/null
	check "nothing is attached any more" wait_for 1 eval "! attached"
	if command -v bpftool >/dev/null; then
		check "nor loaded" wait_for 1 eval "! bpftool prog show id $id"
	else
		skip "whether it is still loaded: needs bpftool"
	fi
	check "its interface is gone" wait_for 1 eval "! in_ns a ip link show $ta"
	check "a starts again" tt_start a "$TT_WORK/a.toml"
	check "traffic" wait_for 5 can_ping a 10.77.0.2 -W 0.2
	check "past the kernel" wait_for 5 redirects
done
# Switching a veth's receive path on and off loses what is on its way in the driver just then.
beside_ends "beside it" 5
echo "everything, while a kernel thread receives:"
threaded() { in_ns a sh -c "$1 /sys/class/net/v0/threaded"; }
thread_is() { [ "$(threaded cat)" = "$1" ]; }
# By a transfer where the machine is fast enough, otherwise by hand.
bg_ns a "$TT_WORK/iperf-server.txt" iperf3 -s -1
check "iperf3 listens" wait_for 5 eval "in_ns a ss -Hltn 'sport = :5201' | grep -q ."
bg_ns b "$TT_WORK/iperf.txt" timeout 8 iperf3 -c 10.77.0.1 -t 8
iperf=$BG_PID
if wait_for 6 thread_is 1; then
	check "it is written down" in_ns a test -s "/run/taltun/$ta.threaded"
	by_hand=
else
	# while it has its program: a veth without one has nothing that a thread could do
	skip "the thread comes with bulk TCP: too slow a machine"
	by_hand=1
	threaded "echo 1 >"
fi
mapfile -t family < <(family_pids "$(tt_pid a "$ta")")
kill -KILL "${family[@]}"
wait "${family[0]}" 2>/dev/null
kill "$iperf" 2>/dev/null
if [ -n "$by_hand" ]; then
	in_ns a sh -c "echo $(in_ns a cat /sys/class/net/v0/ifindex) v0 >/run/taltun/$ta.threaded"
fi
check "it is there still" thread_is 1
check "a starts again" tt_start a "$TT_WORK/a.toml"
check "it was put back" wait_for 5 thread_is 0
check_not "and struck out" in_ns a test -e "/run/taltun/$ta.threaded"
threaded "echo 1 >"
mapfile -t family < <(family_pids "$(tt_pid a "$ta")")
kill -KILL "${family[@]}"
wait "${family[0]}" 2>/dev/null
check "a starts again" tt_start a "$TT_WORK/a.toml"
check "what the operator turned on stays on" thread_is 1
threaded "echo 0 >"
tt_stop a "$ta"
check_not "a stops: nothing is attached any more" attached
finish
