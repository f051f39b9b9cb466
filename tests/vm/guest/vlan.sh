#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Tunnels whose encrypted packets are tagged: one VLAN, another one, a service tag, VLAN in VLAN; by
# the sockets and by AF_XDP, over veth and over virtio_net. The other end is the kernel's WireGuard.
#
#   namespace t                                            namespace g
#   [v0      10.8.0.1]---- veth, or two NICs of virtio_net ----[v0      10.8.0.2]
#   [v0.10   10.8.10.1, fd08:10::1]   802.1Q                   [v0.10   10.8.10.2, fd08:10::2]
#   [v0.20   10.8.20.1]               802.1Q                   [v0.20   10.8.20.2]
#   [v0.30   10.8.30.1]               802.1ad                  [v0.30   10.8.30.2]
#   [v0.10.5 10.8.5.1]                802.1Q in 802.1Q         [v0.10.5 10.8.5.2]
#   [tt..t 10.77.0.1, fd77::1] ~~~~~~~~~ WireGuard ~~~~~~~~~ [tt..g 10.77.0.2, fd77::2]
#
# The test also runs on a host whose kernel has WireGuard and VLANs, there without the NICs.
. "$(dirname "$0")/../../netns/lib.sh"
. "$(dirname "$0")/../../netns/support/traffic.sh"

need_root
need_taltund
need_commands wg socat jq ping ethtool
bytes=${TT_VM_BYTES:-100000}
wg_keys t g
runs=0 t='' g='' tt='' tg=''

nic() { status "$t" "$tt" ".datapath.interfaces[0]${1:-}"; }
by_xdp() { nic "| [.queues[].$1] | add // 0"; }
nic_mode_is() { [ "$(nic .mode)" = "$1" ]; }
pings() { wait_for 4 can_ping "$1" "$2"; }

# vlan NS BELOW ID ADDRESSES [PROTOCOL]
vlan() {
	in_ns "$1" ip link add link "$2" name "$2.$3" type vlan proto "${5:-802.1Q}" id "$3" &&
		addr_add "$1" "$2.$3" "$4" && in_ns "$1" ip link set "$2.$3" up
}

vlans() {
	vlan "$1" v0 10 "10.8.10.$2/24,fd08:10::$2/64" && vlan "$1" v0 20 "10.8.20.$2/24" &&
		vlan "$1" v0 30 "10.8.30.$2/24" 802.1ad && vlan "$1" v0.10 5 "10.8.5.$2/24"
}

# wire KIND: v0 in both namespaces. A veth refuses native XDP where the other end has more queues to
# send by than it has to receive by.
wire() {
	local queues=() n=0 ns
	[ "$1" != generic ] || queues=(numtxqueues 2 numrxqueues 1)
	if [ "$1" != nics ]; then
		ip link add v0 netns "$(ns_name "$t")" "${queues[@]}" type veth \
			peer name v0 netns "$(ns_name "$g")" "${queues[@]}" || return 1
	fi
	for ns in "$t" "$g"; do
		[ "$1" != nics ] || {
			ip link set "${nics[n]}" netns "$(ns_name "$ns")"
			in_ns "$ns" ip link set "${nics[n]}" name v0
			in_ns "$ns" ethtool -L v0 combined 2 2>/dev/null
		}
		n=$((n + 1))
		addr_add "$ns" v0 "10.8.0.$n/24"
		in_ns "$ns" ip link set v0 up
		vlans "$ns" "$n" || return 1
	done
	wait_for 5 can_ping "$t" 10.8.10.2
}

kernel_up() {
	in_ns "$g" ip link add "$tg" mtu 1420 type wireguard
	addr_add "$g" "$tg" 10.77.0.2/24,fd77::2/64
	in_ns "$g" ip link set "$tg" up
	in_ns "$g" wg set "$tg" listen-port 51820 private-key "$(key_file g)" peer "$(pub t)" \
		allowed-ips 10.77.0.1/32,fd77::1/128
}

# They go back to the first namespace by themselves, where a v0 would be in everybody's way.
nics_back() {
	local n=0 ns
	for ns in "$t" "$g"; do
		in_ns "$ns" ip link set v0 down
		in_ns "$ns" ip link set v0 name "${nics[n]}"
		n=$((n + 1))
	done
}

# node MODE ENDPOINT [LINE]...: taltund with its peer
node() {
	local file=$TT_WORK/$tt.toml mode=$1 endpoint=$2
	shift 2
	node_config "$file" "$tt" t 10.77.0.1/24,fd77::1/64 51820
	printf '[datapath]\nmode = "%s"\n' "$mode" >>"$file"
	[ $# -eq 0 ] || printf '%s\n' "$@" >>"$file"
	node_peer "$file" g 10.77.0.2/32,fd77::2/128 "endpoint = \"$endpoint\""
	tt_start "$t" "$file"
}

# traffic LABEL: what has to pass whatever carries it. 1420 inner bytes fill a frame of 1518.
traffic() {
	check "$1: inner IPv4 and IPv6" eval "pings $t 10.77.0.2 && pings $g fd77::1"
	check "$1: the largest packets" eval \
		"wait_for 4 can_ping $t 10.77.0.2 -M do -s 1392 && wait_for 4 can_ping $g 10.77.0.1 -M do -s 1392"
	check "$1: $bytes bytes from t" tcp_copy "$t" "$g" 10.77.0.2 "$bytes"
	check "$1: $bytes bytes from g, inner IPv6" tcp_copy "$g" "$t" fd77::1 "$bytes"
}

# carried LABEL XDP|KERNEL XDP|KERNEL: traffic, and who took it in and sent it.
carried() {
	local rx tx
	if [ "$mode" = socket ]; then
		traffic "$1"
		return
	fi
	rx=$(by_xdp rx_packets) tx=$(by_xdp tx_packets)
	traffic "$1"
	rx=$(($(by_xdp rx_packets) - rx)) tx=$(($(by_xdp tx_packets) - tx))
	if [ "$2" = XDP ]; then
		less "$1: received by AF_XDP" 50 "$rx"
	else
		equal "$1: received by the socket" 0 "$rx"
	fi
	if [ "$3" = XDP ]; then
		less "$1: sent by AF_XDP" 50 "$tx"
	else
		less "$1: sent by the socket, but for what was on its way" "$tx" 20
	fi
}

# The kernel speaks from another VLAN, and taltund answers there. Whatever taltund sends before it
# hears of it leads the kernel back: it is told as often as that takes.
# speaks_by ENDPOINT_OF_T ENDPOINT_OF_G
speaks_by() {
	in_ns "$g" wg set "$tg" peer "$(pub t)" endpoint "$1"
	can_ping "$g" 10.77.0.1 && [ "$(in_ns "$t" wg show "$tt" endpoints | cut -f2)" = "$2" ]
}

# move_to NET LABEL
move_to() {
	check "$2: the kernel speaks from there, taltund follows" \
		wait_for 20 speaks_by "10.8.$1.1:51820" "10.8.$1.2:51820"
}

# scenario KIND MODE WANTED: KIND of wire, and the mode that its interface then has.
scenario() {
	local kind=$1 mode=$2 wanted=$3 label="$1, $2"
	runs=$((runs + 1))
	t=t$runs g=g$runs tt=$(ifname "t$runs") tg=$(ifname "g$runs")
	ns_add "$t" "$g"
	check "$label: tagged packets pass" wire "$kind" || return
	kernel_up
	check "$label: taltund starts" node "$mode" 10.8.10.2:51820 || return
	check "$label: ping by VLAN" wait_for 15 can_ping "$t" 10.77.0.2
	if [ "$mode" = socket ]; then
		equal "$label: nothing is attached" socket "$(status "$t" "$tt" .datapath.mode)"
	else
		check "$label: $wanted" wait_for 5 nic_mode_is "$wanted" || nic
		equal "$label: on what the VLAN lies on" v0 "$(nic .interface)"
	fi
	carried "$label, VLAN 10" XDP XDP
	# Tags lie in the frame from here on, where the driver would have kept them beside it.
	in_ns "$t" ethtool -K v0 txvlan off tx-vlan-stag-hw-insert off >/dev/null 2>&1
	in_ns "$g" ethtool -K v0 txvlan off tx-vlan-stag-hw-insert off >/dev/null 2>&1
	carried "$label, VLAN 10, tag in the frame" XDP XDP
	check "$label, VLAN 10, IPv6: the kernel speaks from there, taltund follows" \
		wait_for 20 speaks_by '[fd08:10::1]:51820' '[fd08:10::2]:51820'
	carried "$label, VLAN 10, IPv6" XDP XDP
	move_to 20 "$label, VLAN 20"
	carried "$label, VLAN 20" XDP XDP
	move_to 0 "$label, no tag"
	carried "$label, no tag" XDP XDP
	move_to 30 "$label, service tag 30"
	carried "$label, service tag 30" XDP XDP
	move_to 5 "$label, VLAN 5 in 10"
	carried "$label, VLAN 5 in 10" KERNEL KERNEL
	move_to 20 "$label, VLAN 20 again"
	made_anew "$label"
	carried "$label, VLAN 20 made anew" XDP XDP
	[ "$mode" = socket ] ||
		equal "$label: no packet of an unknown session" 0 "$(nic .steering.unknown_index)"
	equal "$label: no engine died" 0 "$(status "$t" "$tt" .restarts)"
	check "$label: taltund stops" tt_stop "$t" "$tt"
}

made_anew() {
	in_ns "$t" ip link del v0.20
	vlan "$t" v0 20 10.8.20.1/24
	check "$1: VLAN 20 deleted and made anew" wait_for 20 can_ping "$t" 10.77.0.2
}

# The VLAN itself is named: its frames are taken generically, where it has them without their tag.
named_vlan() {
	local mode=xdp
	t=tnamed g=gnamed tt=$(ifname tn) tg=$(ifname gn)
	ns_add "$t" "$g"
	check "named: tagged packets pass" wire veth || return
	kernel_up
	check "named: taltund starts" node xdp 10.8.10.2:51820 'interfaces = ["v0.10"]' || return
	check "named: ping by VLAN" wait_for 15 can_ping "$t" 10.77.0.2
	check "named: generic on the VLAN" wait_for 5 nic_mode_is generic || nic
	traffic named
	echo "        AF_XDP: rx $(by_xdp rx_packets), tx $(by_xdp tx_packets)"
	check "named: taltund stops" tt_stop "$t" "$tt"
}

ns_add probe
in_ns probe ip link add p0 type wireguard 2>/dev/null || skip_all "the kernel has no WireGuard"
in_ns probe ip link add v0 type veth peer name v1
in_ns probe ip link add link v0 name v0.1 type vlan id 1 2>/dev/null || skip_all "the kernel has no VLANs"

virtio_nics() {
	local n
	nics=()
	for n in /sys/class/net/*; do
		n=${n##*/}
		[ "$(ethtool -i "$n" 2>/dev/null | sed -n 's/^driver: //p')" != virtio_net ] || nics+=("$n")
	done
	[ ${#nics[@]} -ge 2 ]
}

echo "  kernel $(uname -r)"
scenario veth xdp "native copy"
scenario generic xdp generic
named_vlan
scenario veth socket socket
if [ -z "${TT_VM:-}" ]; then
	skip "virtio_net: only in the virtual machine of tests/vm/run.sh"
elif wait_for 5 virtio_nics; then
	scenario nics xdp "native copy"
	nics_back
else
	fail "two NICs of virtio_net: ${nics[*]}"
fi
finish
