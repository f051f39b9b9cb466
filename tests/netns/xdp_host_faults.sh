#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What happens to a host that runs the tunnel by AF_XDP, case by case: everything is killed
# (case_29), its XDP hook is taken by somebody else or its NIC gets another number of queues
# (case_30), its interfaces go, change their names, come back (case_31). The host's other traffic
# never notices, and the tunnel goes on within a second.
#
#   namespace a                                        namespace b
#   [v0 10.8.0.1]--------------- veth ----------------[v0 10.8.0.2]
#   [tt..a 10.77.0.1] ~~~~~~~~~~ tunnel ~~~~~~~~~~~ [tt..b 10.77.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_taltund
need_commands wg jq ping ip ethtool
[ -x "$TT_TOOLS/xdp_prog" ] || skip_all "needs $TT_TOOLS/xdp_prog (make tools)"
wg_keys a b

nic() { status a "$ta" ".datapath.interfaces[0]$1"; }
mode_is() { [ "$(nic .mode)" = "$1" ]; }
attached() { in_ns a ip -d link show "${1:-v0}" | grep -q 'prog/xdp'; }
redirected_more() { [ "$(nic .steering.redirected)" -gt "$1" ]; }
# Three answers within a second, whatever is lost before.
alive() { in_ns "$1" ping -n -q -i 0.05 -c 3 -w 1 "$2"; }
# By AF_XDP, not only somehow.
by_xdp() {
	local was
	was=$(nic .steering.redirected)
	alive b 10.77.0.1 && redirected_more "$was"
}
wire() {
	ip link add v0 netns "$(ns_name a)" numrxqueues 2 numtxqueues 2 type veth \
		peer name v0 netns "$(ns_name b)" numrxqueues 2 numtxqueues 2 || return 1
	# native XDP wants no fewer receive queues here than there are for sending at the other end
	in_ns b ethtool -L v0 rx 2 tx 1 >/dev/null
	in_ns a ethtool -L v0 rx 1 tx 2 >/dev/null
	addr_add a v0 10.8.0.1/24
	addr_add b v0 10.8.0.2/24
	in_ns a ip link set v0 up
	in_ns b ip link set v0 up
	wait_for 3 link_is_up a v0 && wait_for 3 link_is_up b v0
}

# The host's other traffic: a ping beside the tunnel all the time; what is missing at the end.
beside_start() {
	bg_ns b "$TT_WORK/beside.log" ping -n -i 0.01 10.8.0.1
	beside=$BG_PID
}
beside_lost() {
	kill -INT "$beside" 2>/dev/null
	wait_for 2 pid_gone "$beside"
	ping_lost "$TT_WORK/beside.log"
}

ta=$(ifname a) tb=$(ifname b)
start_a() { tt_start a "$TT_WORK/a.toml"; }
ns_add a b
check "the wire" wire
toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
toml_datapath "$TT_WORK/a.toml" 'mode = "xdp"' 'interfaces = ["v0"]'
toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32 'endpoint = "10.8.0.2:51820"'
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_datapath "$TT_WORK/b.toml" 'mode = "socket"'
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32
check "a starts" start_a
[ "$(nic .mode)" = "native copy" ] || skip_all "no native AF_XDP here: $(nic .reason)"
check "b starts" tt_start b "$TT_WORK/b.toml"
check "ping" wait_for 10 alive a 10.77.0.2
check "by AF_XDP" wait_for 3 by_xdp

# --- kill -9 of everything ----------------------------------------------------------------------

# Whom to ask for a handshake at once is in the state file, some seconds after the first session.
saved() { in_ns a grep -qr "$(pub b)" /var/lib/taltun || in_ns a grep -qr 10.8.0.2 /var/lib/taltun; }
case_29() {
	local pid pinned
	check "case 29: a has written down where b is" wait_for 15 saved
	pinned=$(find /sys/fs/bpf -mindepth 1 2>/dev/null | wc -l)
	beside_start
	pid=$(tt_pid a "$ta")
	kill -9 "$(engine_pid a "$ta")" "$pid"
	# as a supervisor does, which sees its child end
	check "case 29: it dies" wait_for 1 pid_gone "$pid"
	check "case 29: nothing is attached" wait_for 1 eval "! attached"
	check "case 29: the TUN is gone" wait_for 1 eval "! in_ns a ip link show $ta"
	equal "case 29: nothing is pinned" "$pinned" "$(find /sys/fs/bpf -mindepth 1 2>/dev/null | wc -l)"
	check "case 29: it starts again" start_a
	check "case 29: traffic within a second, without a packet of ours" wait_for 1 alive b 10.77.0.1
	check "case 29: past the kernel" wait_for 3 by_xdp
	equal "case 29: the host's other traffic lost nothing" 0 "$(beside_lost)"
}

# --- the hook, and the queues --------------------------------------------------------------------

foreign() {
	bg_ns a "$TT_WORK/foreign.log" "$TT_TOOLS/xdp_prog" v0 pass
	foreign=$BG_PID
	wait_for 2 grep -q attached "$TT_WORK/foreign.log"
}
case_30() {
	local id
	check "case 30: somebody detaches it" in_ns a "$TT_TOOLS/xdp_prog" v0 detach
	check "case 30: traffic" wait_for 1 alive b 10.77.0.1
	check "case 30: attached again" wait_for 5 by_xdp

	# both want the hook as soon as it is free: whoever comes first
	taken() { in_ns a "$TT_TOOLS/xdp_prog" v0 detach; foreign; }
	check "case 30: another tool takes the hook" wait_for 20 taken
	check "case 30: traffic by the sockets" wait_for 1 alive b 10.77.0.1
	check "case 30: status says who has it" wait_for 5 eval "nic .reason | grep -q 'xdp held by'"
	id=$(in_ns a ip -d -j link show v0 | jq '.[0].xdp.prog.id')
	sleep 1.5 # two turns of the back-off
	equal "case 30: it is never replaced" "$id" "$(in_ns a ip -d -j link show v0 | jq '.[0].xdp.prog.id')"
	kill_pids 2 "$foreign"
	check "case 30: back as soon as it is free" wait_for 3 by_xdp

	check "case 30: another number of queues" in_ns a ethtool -L v0 rx 2
	check "case 30: traffic" wait_for 1 alive b 10.77.0.1
	in_ns a ethtool -L v0 rx 1
	check "case 30: and the old one" wait_for 1 alive b 10.77.0.1
	check "case 30: past the kernel" wait_for 5 by_xdp
}

# --- interfaces ----------------------------------------------------------------------------------

case_31() {
	local pid
	in_ns a ip link set v0 down
	in_ns a ip link set v0 up
	check "case 31: down and up: traffic" wait_for 5 alive a 10.77.0.2
	check "case 31: past the kernel" wait_for 5 by_xdp

	in_ns a ip link set v0 down
	in_ns a ip link set v0 name w0
	in_ns a ip link set w0 up
	check "case 31: another name: traffic" wait_for 5 alive a 10.77.0.2
	in_ns a ip link set w0 down
	in_ns a ip link set w0 name v0
	in_ns a ip link set v0 up
	check "case 31: its own name: traffic" wait_for 5 alive a 10.77.0.2
	check "case 31: past the kernel" wait_for 10 by_xdp

	pid=$(engine_pid a "$ta")
	ip -n "$(ns_name a)" link del v0
	check "case 31: deleted: said so" wait_for 3 eval "nic .reason | grep -q 'no such interface'"
	check "case 31: made anew" wire
	check "case 31: traffic" wait_for 10 alive a 10.77.0.2
	check "case 31: past the kernel" wait_for 10 by_xdp
	equal "case 31: by the same engine" "$pid" "$(engine_pid a "$ta")"

	pid=$(tt_pid a "$ta")
	ip -n "$(ns_name a)" link del "$ta"
	check "case 31: the TUN deleted: the daemon ends" wait_for 5 pid_gone "$pid"
	check_not "case 31: and nothing is attached" attached
	check "case 31: it starts again" start_a
	check "case 31: traffic" wait_for 3 alive a 10.77.0.2
}

case_29
case_30
case_31
finish
