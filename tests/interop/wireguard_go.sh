#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# taltund and wireguard-go understand each other: either one initiates, with and without preshared
# key, over IPv4 and over IPv6; and after either one was started anew.
#
#   namespace t                                        namespace g
#   [v0 10.8.0.1, fd08::1]----------- veth ------------[v0 10.8.0.2, fd08::2]
#   [tt..t 10.77.0.1, fd77::1] ~~~~ WireGuard ~~~~ [tt..g 10.77.0.2, fd77::2]
#            taltund                                        wireguard-go
#
. "$(dirname "$0")/../netns/lib.sh"
. "$(dirname "$0")/../netns/support/traffic.sh"

need_root
need_taltund
need_commands wireguard-go wg socat jq ping
ns_add t g
veth t v0 10.8.0.1/24,fd08::1/64 g v0 10.8.0.2/24,fd08::2/64
tt=$(ifname t) tg=$(ifname g)
wg_keys t g
# Attached before the first packet, and not when a handshake has told where the peer is.
[ -z "$TT_MODE" ] || export TALTUN_DATAPATH_INTERFACES=v0
(umask 077 && wg genpsk >"$TT_WORK/psk")

up_t() {
	tt_start t "$tt" || return 1
	addr_add t "$tt" 10.77.0.1/24,fd77::1/64
	in_ns t ip link set "$tt" mtu 1420 up
}

up_g() {
	wgo_start g "$tg" || return 1
	addr_add g "$tg" 10.77.0.2/24,fd77::2/64
	in_ns g ip link set "$tg" mtu 1420 up
}

# Where to reach t and g over a family.
outer_t() { [ "$1" = 4 ] && echo 10.8.0.1:51820 || echo '[fd08::1]:51820'; }
outer_g() { [ "$1" = 4 ] && echo 10.8.0.2:51820 || echo '[fd08::2]:51820'; }

set_t() {
	in_ns t wg set "$tt" listen-port 51820 private-key "$(key_file t)" peer "$(pub g)" \
		allowed-ips 10.77.0.2/32,fd77::2/128 "$@"
}

set_g() {
	in_ns g wg set "$tg" listen-port 51820 private-key "$(key_file g)" peer "$(pub t)" \
		allowed-ips 10.77.0.1/32,fd77::1/128 "$@"
}

# link FAMILY INITIATOR [PSK]: only the initiator knows where the other one is.
link() {
	local family=$1 initiator=$2 psk=${3:-}
	local extra=()
	[ -z "$psk" ] || extra=(preshared-key "$TT_WORK/psk")
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

handshake_of() {
	in_ns "$1" wg show "$2" latest-handshakes | cut -f2
}

traffic() {
	local label=$1 first=$2
	if [ "$first" = t ]; then
		check "$label: handshake by taltund" wait_for 20 can_ping t 10.77.0.2
	else
		check "$label: handshake by wireguard-go" wait_for 20 can_ping g 10.77.0.1
	fi
	check "$label: ping inner IPv6 to wireguard-go" can_ping t fd77::2
	check "$label: ping inner IPv6 to taltund" can_ping g fd77::1
	check "$label: 5 MB to wireguard-go" tcp_copy t g 10.77.0.2
	check "$label: 5 MB to taltund, inner IPv6" tcp_copy g t fd77::1
	less "$label: taltund saw a handshake" 0 "$(handshake_of t "$tt")"
	less "$label: wireguard-go saw a handshake" 0 "$(handshake_of g "$tg")"
}

check "taltund starts" up_t
check "wireguard-go starts" up_g
for family in 4 6; do
	for initiator in t g; do
		for psk in "" psk; do
			link "$family" "$initiator" "$psk"
			traffic "outer IPv$family, $initiator initiates${psk:+, $psk}" "$initiator"
		done
	done
done

# Last in force: outer IPv6, g initiates, psk. A wrong one must not work.
(umask 077 && wg genpsk >"$TT_WORK/other.psk")
in_ns g wg set "$tg" peer "$(pub t)" remove
set_g preshared-key "$TT_WORK/other.psk" endpoint "$(outer_t 6)"
check_not "another preshared key does not pass" can_ping g 10.77.0.1
set_g preshared-key "$TT_WORK/psk"
check "the right one passes again" wait_for 20 can_ping g 10.77.0.1

# A daemon that comes back has no sessions: the other one's are dead, and a new handshake follows.
link 4 t psk
set_g endpoint "$(outer_t 4)"
check "both know where the other is" wait_for 20 can_ping t 10.77.0.2
wgo_stop g "$tg"
check "wireguard-go starts again" up_g
set_g preshared-key "$TT_WORK/psk" endpoint "$(outer_t 4)"
check "it initiates to the running taltund" wait_for 20 can_ping g 10.77.0.1
check "5 MB to the restarted wireguard-go" tcp_copy t g 10.77.0.2
tt_stop t "$tt"
check "taltund starts again" up_t
set_t preshared-key "$TT_WORK/psk" endpoint "$(outer_g 4)"
check "it initiates to the running wireguard-go" wait_for 20 can_ping t 10.77.0.2
check "5 MB to the restarted taltund" tcp_copy g t 10.77.0.1

# The same, and the one that stayed has to notice: it sends into a dead session, nobody answers,
# and after 15 s without an answer it shakes hands anew.
wgo_stop g "$tg"
check "wireguard-go starts once more" up_g
set_g preshared-key "$TT_WORK/psk"
check "taltund notices the dead session" wait_for 40 can_ping t 10.77.0.2
finish
