#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# taltund and the kernel's own WireGuard understand each other, by the sockets and past the kernel:
# either one initiates, with and without preshared key, outer IPv4 and IPv6, inner both; either one
# moves to another address and port; sessions are replaced, by force and by their age.
#
#   namespace t                                        namespace g
#   [v0 10.8.0.1, fd08::1]----------- veth ------------[v0 10.8.0.2, fd08::2]
#   [tt..t 10.77.0.1, fd77::1] ~~~~ WireGuard ~~~~ [tt..g 10.77.0.2, fd77::2]
#            taltund                                        kernel
#
# Two more pairs, r and s by the sockets, p and q past the kernel, live from the start to the end:
# their sessions grow old enough to be replaced. The test also runs on a host whose kernel has WireGuard.
. "$(dirname "$0")/../../netns/lib.sh"
. "$(dirname "$0")/../../netns/support/traffic.sh"

need_root
need_taltund
need_commands wg socat jq ping
ns_add t g r s p q
in_ns g ip link add "$(ifname k)" type wireguard 2>/dev/null ||
	skip_all "the kernel has no WireGuard"
in_ns g ip link del "$(ifname k)"
veth t v0 10.8.0.1/24,fd08::1/64 g v0 10.8.0.2/24,fd08::2/64
tt=$(ifname t) tg=$(ifname g)
wg_keys t g r s p q
(umask 077 && wg genpsk >"$TT_WORK/psk")
bytes=${TT_VM_BYTES:-1000000}

# --- both ends -----------------------------------------------------------------------------------

# kernel_up NS IFNAME ADDRESS[,ADDRESS]
# Its socket stays in the namespace in which it is made, so it is made inside.
kernel_up() {
	in_ns "$1" ip link add "$2" mtu 1420 type wireguard &&
		addr_add "$1" "$2" "$3" && in_ns "$1" ip link set "$2" up
}

# taltund_up NS IFNAME KEY ADDRESS[,ADDRESS] MODE
taltund_up() {
	node_config "$TT_WORK/$2.toml" "$2" "$3" "$4" 51820
	printf '[datapath]\nmode = "%s"\n' "$5" >>"$TT_WORK/$2.toml"
	tt_start "$1" "$TT_WORK/$2.toml"
}

outer_t() { [ "$1" = 4 ] && echo 10.8.0.1:51820 || echo '[fd08::1]:51820'; }
outer_g() { [ "$1" = 4 ] && echo 10.8.0.2:51820 || echo '[fd08::2]:51820'; }

set_t() {
	in_ns t wg set "$tt" peer "$(pub g)" allowed-ips 10.77.0.2/32,fd77::2/128 "$@"
}

set_g() {
	in_ns g wg set "$tg" listen-port 51820 private-key "$(key_file g)" peer "$(pub t)" \
		allowed-ips 10.77.0.1/32,fd77::1/128 "$@"
}

# link FAMILY INITIATOR [PSK]: only the initiator knows where the other one is.
link() {
	local family=$1 initiator=$2 extra=()
	[ -z "${3:-}" ] || extra=(preshared-key "$TT_WORK/psk")
	in_ns t wg set "$tt" peer "$(pub g)" remove
	in_ns g wg set "$tg" peer "$(pub t)" remove
	if [ "$initiator" = t ]; then
		set_g "${extra[@]}"
		set_t "${extra[@]}" endpoint "$(outer_g "$family")"
	else
		set_t "${extra[@]}"
		set_g "${extra[@]}" endpoint "$(outer_t "$family")"
	fi
}

handshake_time() { in_ns "$1" wg show "$2" latest-handshakes | cut -f2; }
handshakes() { status "$1" "$2" '.peers[0].handshakes'; }
endpoint_of() { in_ns "$1" wg show "$2" endpoints | cut -f2; }
endpoint_is() { [ "$(endpoint_of "$1" "$2")" = "$3" ]; }
nic() { status t "$tt" ".datapath.interfaces[0]$1"; }
by_xdp() { nic "| [.queues[].$1] | add // 0"; }
native() { [ "$(nic .mode)" = "native copy" ]; }

# Under emulation, on a busy host, a packet may take longer than a ping waits.
pings() { wait_for 4 can_ping "$1" "$2"; }

both_ways() {
	check "$1: inner IPv4 and IPv6 to the kernel" eval "pings t 10.77.0.2 && pings t fd77::2"
	check "$1: inner IPv4 and IPv6 to taltund" eval "pings g 10.77.0.1 && pings g fd77::1"
	check "$1: $bytes bytes to the kernel" tcp_copy t g 10.77.0.2 "$bytes"
	check "$1: $bytes bytes to taltund, inner IPv6" tcp_copy g t fd77::1 "$bytes"
}

# --- scenarios, each in the mode that taltund runs in ------------------------------------------------

handshakes_by_both() {
	local family initiator psk label
	for family in 4 6; do
		for initiator in t g; do
			for psk in "" psk; do
				label="$1, outer IPv$family, $([ $initiator = t ] && echo taltund || echo kernel) initiates${psk:+, $psk}"
				link "$family" "$initiator" "$psk"
				if [ "$initiator" = t ]; then
					check "$label" wait_for 15 can_ping t 10.77.0.2
				else
					check "$label" wait_for 15 can_ping g 10.77.0.1
				fi
				both_ways "$label"
				check "$label: both saw the handshake" eval \
					"[ $(handshake_time t "$tt") -gt 0 ] && [ $(handshake_time g "$tg") -gt 0 ]"
			done
		done
	done
}

wrong_psk() {
	(umask 077 && wg genpsk >"$TT_WORK/other.psk")
	link 4 t psk
	set_g preshared-key "$TT_WORK/other.psk"
	check_not "$1: another preshared key does not pass" can_ping t 10.77.0.2
	set_g preshared-key "$TT_WORK/psk"
	check "$1: the right one passes" wait_for 15 can_ping t 10.77.0.2
}

# move NS OLD NEW: the old one first, with which the kernel also removes what is secondary to it.
move() {
	in_ns "$1" ip addr del "$2" dev v0
	addr_add "$1" v0 "$3"
}

# Whatever taltund sends before it hears of it leads the kernel back: it is told as often as that takes.
speaks_by_6() {
	in_ns g wg set "$tg" peer "$(pub t)" endpoint "$(outer_t 6)"
	can_ping g 10.77.0.1 && endpoint_is t "$tt" "[fd08::2]:51999"
}

roaming() {
	link 4 t
	check "$1: before roaming" wait_for 15 can_ping t 10.77.0.2
	move g 10.8.0.2/24 10.8.0.3/24
	check "$1: the kernel moves, and speaks" wait_for 15 can_ping g 10.77.0.1
	check "$1: taltund follows" wait_for 5 endpoint_is t "$tt" 10.8.0.3:51820
	both_ways "$1, after the kernel moved"
	in_ns g wg set "$tg" listen-port 51999
	check "$1: the kernel takes another port" wait_for 15 can_ping g 10.77.0.1
	check "$1: taltund follows that" wait_for 5 endpoint_is t "$tt" 10.8.0.3:51999
	check "$1: back on the new port" pings t 10.77.0.2
	move t 10.8.0.1/24 10.8.0.4/24
	check "$1: taltund moves, and speaks" wait_for 15 can_ping t 10.77.0.2
	check "$1: the kernel follows" wait_for 5 endpoint_is g "$tg" 10.8.0.4:51820
	both_ways "$1, after taltund moved"
	check "$1: to IPv6 in the middle of a session, taltund follows" wait_for 20 speaks_by_6
	both_ways "$1, over to IPv6"
	move t 10.8.0.4/24 10.8.0.1/24
	move g 10.8.0.3/24 10.8.0.2/24
}

# more_handshakes NS IFNAME THAN
more_handshakes() { [ "$(handshakes "$1" "$2")" -gt "$3" ]; }

forced_rekey() {
	local n before i
	link 4 g
	check "$1: before the rekeys" wait_for 15 can_ping g 10.77.0.1
	n=$(handshakes t "$tt")
	for i in 1 2 3; do
		# Down and up, the kernel forgets its sessions and its IPv6 address, and taltund nothing.
		in_ns g ip link set "$tg" down
		in_ns g ip link set "$tg" up
		addr_add g "$tg" fd77::2/64
		check "$1: the kernel makes session $i anew" wait_for 15 can_ping g 10.77.0.1
	done
	check "$1: taltund counts them" wait_for 5 more_handshakes t "$tt" $((n + 2))
	both_ways "$1, after the kernel's rekeys"
	before=$(handshake_time g "$tg")
	# Replay protection of handshakes is by time; two within a second are two still.
	in_ns t wg set "$tt" peer "$(pub g)" remove
	set_t endpoint "$(outer_g 4)"
	check "$1: taltund makes a session anew" wait_for 15 can_ping t 10.77.0.2
	check "$1: the kernel took it" [ "$(handshake_time g "$tg")" -ge "$before" ]
	both_ways "$1, after taltund's rekey"
}

# Counted from `from_rx`, `from_tx`: data messages are to have gone past the kernel.
past_the_kernel() {
	local rx tx
	rx=$(by_xdp rx_packets) tx=$(by_xdp tx_packets)
	echo "        AF_XDP: rx $rx, tx $tx of $(status t "$tt" .datapath.traffic.rx_packets), $(status t "$tt" .datapath.traffic.tx_packets)"
	less "xdp: received by AF_XDP" 100 "$rx"
	less "xdp: sent by AF_XDP" 100 "$tx"
	less "xdp: handshakes went by the socket" 0 "$(nic .steering.pass_type)"
}

in_mode() {
	local mode=$1
	check "$mode: taltund starts" taltund_up t "$tt" t 10.77.0.1/24,fd77::1/64 "$mode" || return
	check "$mode: the kernel's interface" kernel_up g "$tg" 10.77.0.2/24,fd77::2/64
	set_g
	link 4 t
	check "$mode: first ping" wait_for 15 can_ping t 10.77.0.2
	if [ "$mode" = xdp ]; then
		check "xdp: native copy on veth" wait_for 5 native
	else
		equal "socket: nothing is attached" socket "$(status t "$tt" .datapath.mode)"
	fi
	echo "        taltund: $(status t "$tt" .datapath.mode) ($(nic '.reason // "nothing configured"')), AEAD $(status t "$tt" .datapath.aead)"
	handshakes_by_both "$mode"
	wrong_psk "$mode"
	roaming "$mode"
	forced_rekey "$mode"
	[ "$mode" != xdp ] || past_the_kernel
	equal "$mode: no engine died" 0 "$(status t "$tt" .restarts)"
	check "$mode: taltund stops" tt_stop t "$tt"
	check_not "$mode: nothing is left on the NIC" eval "in_ns t ip -d link show v0 | grep -q prog/xdp"
	in_ns g ip link del "$tg"
}

# --- the pairs that grow old -----------------------------------------------------------------------------

declare -A old_from=() old_ping=()

# old_pair MODE NS KERNEL_NS IFNAME KERNEL_IFNAME NET: inner network 10.78.NET, outer 10.9.NET
old_pair() {
	local mode=$1 r=$2 s=$3 tr=$4 ts=$5 net=$6
	veth "$r" v0 "10.9.$net.1/24" "$s" v0 "10.9.$net.2/24"
	check "old pair, $mode: taltund starts" taltund_up "$r" "$tr" "$r" "10.78.$net.1/24" "$mode" || return
	check "old pair, $mode: the kernel's interface" kernel_up "$s" "$ts" "10.78.$net.2/24"
	in_ns "$s" wg set "$ts" listen-port 51820 private-key "$(key_file "$s")" peer "$(pub "$r")" \
		allowed-ips "10.78.$net.1/32"
	in_ns "$r" wg set "$tr" peer "$(pub "$s")" allowed-ips "10.78.$net.2/32" endpoint "10.9.$net.2:51820"
	check "old pair, $mode: ping" wait_for 15 can_ping "$r" "10.78.$net.2"
	old_from[$r]=$SECONDS
	bg_ns "$r" "$TT_WORK/old-ping-$r" ping -n -i 0.2 "10.78.$net.2"
	old_ping[$r]=$BG_PID
}

# old_pair_end MODE NS IFNAME NET. The session is replaced at 120 s, and no packet may be lost over it.
old_pair_end() {
	local mode=$1 r=$2 tr=$3 age left
	age=$((SECONDS - ${old_from[$r]:-SECONDS}))
	left=$((age < 135 ? 145 - age : 10))
	check "old pair, $mode: rekeyed by age ($age s old)" wait_for "$left" more_handshakes "$r" "$tr" 1
	check "old pair, $mode: ping after it" pings "$r" "10.78.$4.2"
	kill -INT "${old_ping[$r]}" 2>/dev/null
	wait_for 3 grep -q 'packet loss' "$TT_WORK/old-ping-$r"
	equal "old pair, $mode: no packet lost over it" 0 "$(ping_lost "$TT_WORK/old-ping-$r")"
	echo "        $(grep 'packet loss' "$TT_WORK/old-ping-$r"); mode $(status "$r" "$tr" .datapath.mode)"
	[ "$mode" != xdp ] || equal "old pair, xdp: no packet of an unknown session" 0 \
		"$(status "$r" "$tr" ".datapath.interfaces[0].steering.unknown_index")"
}

# knows_xdp: this build's configuration has the mode.
knows_xdp() {
	node_config "$TT_WORK/probe.toml" ttprobe t 10.77.9.1/24 0
	printf '[datapath]\nmode = "xdp"\n' >>"$TT_WORK/probe.toml"
	taltun check-config "$TT_WORK/probe.toml"
}

echo "  kernel $(uname -r)"
old_pair socket r s "$(ifname r)" "$(ifname s)" 0
if knows_xdp >/dev/null 2>&1; then
	old_pair xdp p q "$(ifname p)" "$(ifname q)" 1
	in_mode socket
	in_mode xdp
	old_pair_end xdp p "$(ifname p)" 1
else
	skip "xdp: this build does not know the mode"
	in_mode socket
fi
old_pair_end socket r "$(ifname r)" 0
finish
