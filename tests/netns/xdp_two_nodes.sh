#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Two nodes over one veth with mode = "xdp": data goes past the kernel both ways and handshakes do
# not, status says how, and whatever happens to the interface or to the program on it, traffic goes
# on by the sockets.
#
#   namespace a                                        namespace b
#   [v0 10.8.0.1, fd08::1]----------- veth ------------[v0 10.8.0.2, fd08::2]
#   [tt..a 10.77.0.1, fd77::1] ~~~~ tunnel ~~~~~~~ [tt..b 10.77.0.2, fd77::2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/traffic.sh"
. "$(dirname "$0")/support/stop_worker.sh"

need_root
need_taltund
need_commands wg jq ping ethtool
ns_add a b
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
ta=$(ifname a) tb=$(ifname b)
wg_keys a b

conf_a=$TT_WORK/a.toml conf_b=$TT_WORK/b.toml
node_config "$conf_a" "$ta" a 10.77.0.1/24,fd77::1/64 51820
printf '[datapath]\nmode = "xdp"\nworkers = 2\n' >>"$conf_a"
node_peer "$conf_a" b 10.77.0.2/32,fd77::2/128 'endpoint = "10.8.0.2:51820"'
node_config "$conf_b" "$tb" b 10.77.0.2/24,fd77::2/64 51820
printf '[datapath]\nmode = "xdp"\nworkers = 2\n' >>"$conf_b"
node_peer "$conf_b" a 10.77.0.1/32,fd77::1/128

# nic NS IFNAME JQ: of the first interface in the data path.
nic() { status "$1" "$2" ".datapath.interfaces[0]$3"; }
mode_is() { [ "$(nic "$1" "$2" .mode)" = "$3" ]; }
by_xdp() { nic "$1" "$2" "| [.queues[].$3] | add // 0"; }
attached() { in_ns "$1" ip -d link show v0 | grep -q 'prog/xdp'; }

check "a starts" tt_start a "$conf_a"
[ "$(nic a "$ta" .mode)" != socket ] || skip_all "no AF_XDP here: $(nic a "$ta" .reason)"
check "b starts" tt_start b "$conf_b"
check "ping" wait_for 10 can_ping a 10.77.0.2
# b learns of its interface by where a's packets come from
check "b: native copy" wait_for 5 mode_is b "$tb" "native copy"
equal "a: native copy" "native copy" "$(nic a "$ta" .mode)"
equal "a: in one word" "native copy" "$(status a "$ta" .datapath.mode)"
check "a says why not zero-copy" eval "[ -n \"\$(nic a $ta '.refused[\"zero-copy\"]')\" ]"
check "a tells people" eval "in_ns a taltun status $ta | grep -q 'v0 *native copy, 1 queue'"
check "ping IPv6" wait_for 5 can_ping a fd77::2
check "ping back" can_ping b 10.77.0.1

# --- by which way ------------------------------------------------------------------------------

# share NS IFNAME rx|tx: per mille of the data messages since `before` that went past the kernel.
before() {
	for n in "a $ta" "b $tb"; do
		# shellcheck disable=SC2086
		set -- $n
		eval "$1_rx=$(status "$1" "$2" .datapath.traffic.rx_packets) $1_tx=$(status "$1" "$2" .datapath.traffic.tx_packets)"
		eval "$1_xrx=$(by_xdp "$1" "$2" rx_packets) $1_xtx=$(by_xdp "$1" "$2" tx_packets)"
	done
}
share() {
	local all xdp
	all=$(($(status "$1" "$2" ".datapath.traffic.$3_packets") - $(eval "echo \$$1_$3")))
	xdp=$(($(by_xdp "$1" "$2" "$3_packets") - $(eval "echo \$$1_x$3")))
	echo "$((all > 0 ? xdp * 1000 / all : 0))"
}

before
check "TCP" tcp_copy a b 10.77.0.2
check "TCP back, IPv6" tcp_copy b a fd77::1
for n in "a $ta" "b $tb"; do
	# shellcheck disable=SC2086
	set -- $n
	less "$1 received more than 99 % past the kernel (per mille)" 990 "$(share "$1" "$2" rx)"
	less "$1 sent more than 99 % past the kernel (per mille)" 990 "$(share "$1" "$2" tx)"
	equal "$1: no packet of an unknown session" 0 "$(nic "$1" "$2" .steering.unknown_index)"
	equal "$1: all frames have an owner" "$(nic "$1" "$2" '.queues[0].rings.frames')" \
		"$(nic "$1" "$2" '.queues[0].rings | .free + .fill + .rx + .sending')"
done
less "handshakes went by the socket" 0 "$(nic a "$ta" .steering.pass_type)"
check "packets in fragments" can_ping a 10.77.0.2 -s 20000
check "full-size packets" can_ping a 10.77.0.2 -M "do" -s 1392

# --- the engine dies ---------------------------------------------------------------------------

engine_of() { engine_pid "$(tt_pid "$1" "$2")"; }
old=$(engine_of a "$ta")
kill -9 "$old"
check "a's engine comes back" wait_for 5 eval "[ -n \"\$(engine_of a $ta)\" ] && [ \"\$(engine_of a $ta)\" != $old ]"
check "traffic goes on" wait_for 5 can_ping a 10.77.0.2
less "its handshake went by b's socket" 0 "$(nic b "$tb" .steering.pass_type)"
check "a is in native copy again" wait_for 5 mode_is a "$ta" "native copy"

# --- a worker stops ------------------------------------------------------------------------------

# alive NS ADDRESS: three answers within a second, whatever is lost before.
alive() { in_ns "$1" ping -n -q -i 0.05 -c 3 -w 1 "$2"; }

if command -v python3 >/dev/null; then
	restarts=$(status a "$ta" .restarts)
	for worker in worker-00 worker-01; do
		stop_worker a "$(engine_of a "$ta")" $worker 1.2 || fail "cannot stop $worker"
		check "$worker of a stopped: traffic goes on within a second" alive a 10.77.0.2
		check "and the other way" alive b 10.77.0.1
		resume_worker
		check "it takes part again" wait_for 3 eval "! status a $ta '.datapath.workers[].hung' | grep -q true"
	done
	# It cannot give back its sockets, and while they are open the queue is nobody else's.
	stop_worker a "$(engine_of a "$ta")" worker-00 1.2 || fail "cannot stop worker-00"
	sed -i 's/mode = "xdp"/mode = "socket"/' "$conf_a"
	check "a reload without AF_XDP while it is stopped" in_ns a taltun reload "$ta"
	sed -i 's/mode = "socket"/mode = "xdp"/' "$conf_a"
	check "and one with it" in_ns a taltun reload "$ta"
	reason=$(nic a "$ta" .reason)
	if pid_gone "$stop_pid"; then
		skip "that its queue is busy: too slow a machine"
	else
		equal "its queue is busy" "queue 0 has an AF_XDP socket of another program" "$reason"
	fi
	check_not "generic mode, which would find the same, is not tried" \
		grep -q 'event=xdp.attached .*mode=generic' "$(tt_log a "$ta")"
	resume_worker
	check "it gives them back: native copy again" wait_for 5 mode_is a "$ta" "native copy"
	check "traffic" wait_for 5 can_ping a 10.77.0.2
	equal "and no engine died of it" "$restarts" "$(status a "$ta" .restarts)"
	stop_worker a "$(engine_of a "$ta")" worker-00 10 || fail "cannot stop worker-00"
	check "a worker that stays away: a new engine" wait_for 8 eval "in_ns a ping -n -q -i 0.02 -c 20 -W 1 10.77.0.2 >/dev/null; [ \"\$(status a $ta .restarts)\" = $((restarts + 1)) ]"
	resume_worker
	check "which serves" wait_for 5 can_ping a 10.77.0.2
	check "past the kernel" wait_for 5 mode_is a "$ta" "native copy"
fi

# --- the interface -------------------------------------------------------------------------------

in_ns a ip link set v0 down
in_ns a ip link set v0 up
check "link down and up: traffic" wait_for 10 can_ping a 10.77.0.2
check "native copy still" wait_for 5 mode_is a "$ta" "native copy"
in_ns a ip link set v0 xdp off 2>/dev/null
in_ns a ip link set v0 mtu 1400
check "a smaller MTU: traffic" wait_for 5 can_ping a 10.77.0.2 -s 1300
in_ns a ip link set v0 mtu 1500
ip -n "$(ns_name a)" link del v0
check "interface gone: said so" wait_for 5 eval "nic a $ta .reason | grep -q 'no such interface'"
veth a v0 10.8.0.1/24,fd08::1/64 b v0 10.8.0.2/24,fd08::2/64
check "a new one of that name: traffic" wait_for 15 can_ping a 10.77.0.2
check "a: native copy on it" wait_for 10 mode_is a "$ta" "native copy"
check "b: native copy on it" wait_for 10 mode_is b "$tb" "native copy"

# --- reload --------------------------------------------------------------------------------------

sed -i 's/mode = "xdp"/mode = "socket"/' "$conf_a"
check "reload to the sockets" in_ns a taltun reload "$ta"
equal "nothing is attached" socket "$(status a "$ta" .datapath.mode)"
check_not "nor left on the interface" attached a
check "ping" wait_for 3 can_ping a 10.77.0.2
sed -i 's/mode = "socket"/mode = "auto"/' "$conf_a"
in_ns a ethtool -K v0 tx-udp-segmentation off >/dev/null
check "reload to auto, where the NIC does not segment" in_ns a taltun reload "$ta"
check "auto: native copy" wait_for 3 mode_is a "$ta" "native copy"
check "ping" wait_for 3 can_ping a 10.77.0.2

# --- the udp_port ----------------------------------------------------------------------------------

in_ns a wg set "$ta" listen-port 51830
check "another udp_port: ping" wait_for 3 can_ping a 10.77.0.2
check "b follows" wait_for 3 eval "[ \"\$(status b $tb '.peers[0].endpoint')\" = 10.8.0.1:51830 ]"
redirected() { nic "$1" "$2" .steering.redirected; }
was=$(redirected a "$ta")
check "traffic" wait_for 3 alive b 10.77.0.1
less "past the kernel, to the new one" "$was" "$(redirected a "$ta")"

in_ns a ip addr add 10.8.0.11/24 dev v0
in_ns b wg set "$tb" peer "$(pub a)" endpoint 10.8.0.11:51830
check "a new address of a: traffic" wait_for 5 alive b 10.77.0.1
was=$(redirected a "$ta")
check "traffic once more" wait_for 3 alive b 10.77.0.1
less "past the kernel, to the new address" "$was" "$(redirected a "$ta")"
in_ns b wg set "$tb" peer "$(pub a)" endpoint 10.8.0.1:51830
check "back to the old one" wait_for 5 alive b 10.77.0.1

# --- a second instance ---------------------------------------------------------------------------

tc=$(ifname c)
wg_keys c
node_config "$TT_WORK/c.toml" "$tc" c 10.78.0.1/24 51821
printf '[datapath]\nmode = "xdp"\ninterfaces = ["v0"]\n' >>"$TT_WORK/c.toml"
check "a second instance starts" tt_start a "$TT_WORK/c.toml"
equal "it goes by the sockets" socket "$(nic a "$tc" .mode)"
equal "and knows who has the NIC" "xdp held by taltund $ta" "$(nic a "$tc" .reason)"
check "status tells people" eval "in_ns a taltun status $tc | grep -q 'v0 *socket (xdp held by taltund $ta)'"
sed -i 's/mode = "auto"/mode = "socket"/' "$conf_a"
check "the first lets go" in_ns a taltun reload "$ta"
check "the second takes over by itself" wait_for 5 mode_is a "$tc" "native copy"
sed -i 's/mode = "socket"/mode = "xdp"/' "$conf_a"
check "the first wants it again" in_ns a taltun reload "$ta"
equal "and has to wait" "xdp held by taltund $tc" "$(nic a "$ta" .reason)"
check "with the sockets" wait_for 3 alive a 10.77.0.2
tt_stop a "$tc"
check "until the second ends" wait_for 5 mode_is a "$ta" "native copy"
check "traffic" wait_for 3 alive a 10.77.0.2

# --- generic mode ------------------------------------------------------------------------------------

sed -i 's/mode = "xdp"/mode = "socket"/' "$conf_a"
in_ns a taltun reload "$ta" >/dev/null
in_ns b ip link set v0 mtu 3600 # more than a's driver takes in native mode
sed -i 's/mode = "socket"/mode = "xdp"/' "$conf_a"
check "reload where native mode is refused" in_ns a taltun reload "$ta"
equal "generic" generic "$(nic a "$ta" .mode)"
check "and why not native copy" eval "nic a $ta '.refused[\"native copy\"]' | grep -q MTU"
check "TCP" tcp_copy a b 10.77.0.2
check "TCP back" tcp_copy b a 10.77.0.1
less "past the kernel" 1000 "$(redirected a "$ta")"
equal "no packet of an unknown session" 0 "$(nic a "$ta" .steering.unknown_index)"
in_ns b ip link set v0 mtu 1500

# --- the end -------------------------------------------------------------------------------------

check "a stops" tt_stop a "$ta"
check_not "nothing is left on its interface" attached a
kill -9 "$(tt_pid b "$tb")"
check "b, killed: nothing is left either" wait_for 2 eval "! attached b"
finish
