#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Gives tunnel traffic its own queues on a NIC. In zero-copy mode a queue whose worker stands still
# drops everything that comes to it, so tunnel packets go to queues of their own by NIC filters, and
# all other traffic is kept away from these. Offloads that would hide packets from steering, or join
# them, are turned off.
#
# usage: scripts/nic-queues.sh [--apply | --undo] [--udp-port N] [--queues K] INTERFACE
#   (neither)      prints the commands and changes nothing
#   --apply        runs them; what was before is kept in /run/taltun/nic-queues.INTERFACE
#   --undo         puts back what --apply changed
#   --udp-port N   the tunnel's udp_port (51820)
#   --queues K     queues for the tunnel, the highest ones (1)
set -u

state_dir=${TALTUN_RUN_DIR:-/run/taltun}
action=print udp_port=51820 tunnel=1 interface=

usage() { sed -n '4,14s/^# \{0,1\}//p' "$0"; }

die() {
	echo "nic-queues.sh: $*" >&2
	exit 1
}

number() {
	if ! [[ ${2:-} =~ ^[0-9]{1,5}$ ]] || [ "$2" -lt 1 ] || [ "$2" -gt "$3" ]; then
		die "$1 takes a number from 1 to $3"
	fi
	echo "$2"
}

while [ $# -gt 0 ]; do
	case $1 in
	--apply) action=apply ;;
	--undo) action=undo ;;
	--udp-port) udp_port=$(number --udp-port "${2:-}" 65535) || exit 1 && shift ;;
	--queues) tunnel=$(number --queues "${2:-}" 64) || exit 1 && shift ;;
	-h | --help) usage && exit 0 ;;
	-*) usage >&2 && exit 64 ;;
	*) interface=$1 ;;
	esac
	shift
done
[ -n "$interface" ] || { usage >&2 && exit 64; }
[[ $interface =~ ^[A-Za-z0-9._-]{1,15}$ ]] || die "'$interface' is no interface name"
command -v ethtool >/dev/null || die "needs ethtool (Debian package ethtool)"
state=$state_dir/nic-queues.$interface

# The current number of combined queues, or nothing.
combined_now() {
	ethtool -l "$interface" 2>/dev/null |
		awk '/^Current/ { now = 1 } now && /^Combined:/ { print $2 + 0; exit }'
}

# "on", "off", or nothing where it is fixed or unknown.
feature_now() {
	ethtool -k "$interface" 2>/dev/null |
		awk -v f="$1:" '$1 == f && $3 != "[fixed]" { print $2; exit }'
}

# step COMMAND UNDO: printed, or run and its undoing remembered. The latest is undone first.
step() {
	if [ "$action" = print ]; then
		echo "$1"
		return
	fi
	echo "+ $1"
	local out
	# The commands are our own words and checked numbers.
	if ! out=$(eval "$1" 2>&1); then
		echo "  failed: ${out//$'\n'/ }"
		failed=1
		return 1
	fi
	[ -z "$2" ] && return
	# A rule's or context's number is only known now: it ends what ethtool says.
	[[ $out =~ ([0-9]+)$ ]] && last_id=${BASH_REMATCH[1]}
	{
		echo "${2//RULE/$last_id}"
		[ ! -e "$state" ] || cat "$state"
	} >"$state.new" && mv "$state.new" "$state"
}

feature_off() {
	[ "$(feature_now "$1")" = on ] || return 0
	step "ethtool -K $interface $1 off" "ethtool -K $interface $1 on"
}

plan() {
	local first=$(($1 - tunnel)) f family target
	for f in large-receive-offload rx-gro-hw rx-udp-gro-forwarding rx-vlan-offload; do
		feature_off "$f"
	done
	[ "$(feature_now ntuple-filters)" = on ] ||
		step "ethtool -K $interface ntuple on" "ethtool -K $interface ntuple off" || return 1
	step "ethtool -X $interface equal $first" "ethtool -X $interface default" || return 1
	if [ "$tunnel" -eq 1 ]; then
		target="action $first"
	else
		# Peers spread over the tunnel's queues by addresses and udp_ports.
		step "ethtool -N $interface rx-flow-hash udp4 sdfn" "ethtool -N $interface rx-flow-hash udp4 sd"
		step "ethtool -N $interface rx-flow-hash udp6 sdfn" "ethtool -N $interface rx-flow-hash udp6 sd"
		step "ethtool -X $interface context new start $first equal $tunnel" \
			"ethtool -X $interface context RULE delete" || return 1
		target="context $([ "$action" = print ] && echo CONTEXT || echo "$last_id")"
	fi
	for family in udp4 udp6; do
		step "ethtool -N $interface flow-type $family dst-port $udp_port $target" \
			"ethtool -N $interface delete RULE" || return 1
	done
}

undo() {
	local line
	[ -r "$state" ] || die "$interface: nothing to undo (no $state)"
	while IFS= read -r line; do
		echo "+ $line"
		case $line in
		"ethtool "*) eval "$line" || failed=1 ;;
		esac
	done <"$state"
	rm -f "$state"
}

ethtool -i "$interface" >/dev/null 2>&1 || die "there is no interface '$interface', or it has no driver to ask"
[ "$action" = print ] || [ "$(id -u)" -eq 0 ] || die "--$action needs root"
failed=0 last_id=RULE
if [ "$action" = undo ]; then
	undo
	exit "$failed"
fi

queues=$(combined_now)
driver=$(ethtool -i "$interface" | sed -n 's/^driver: //p')
[ "${queues:-0}" -gt "$tunnel" ] ||
	die "$interface ($driver): has ${queues:-no} combined queues, needs more than $tunnel"
[ -n "$(feature_now ntuple-filters)" ] ||
	die "$interface ($driver): the driver has no ntuple filters; use XDP in copy mode, or leave the queues as they are"
if [ "$action" = apply ]; then
	[ ! -e "$state" ] || die "$interface: was changed already; --undo first"
	mkdir -p "$state_dir" || exit 1
fi
plan "$queues" || failed=1
if [ "$action" = print ]; then
	echo "# [datapath] queues of taltund: $((queues - tunnel))-$((queues - 1)); fragments have no udp_port and go on to the other queues"
elif [ "$failed" -ne 0 ]; then
	echo "nic-queues.sh: not everything worked; put things back with: $0 --undo $interface" >&2
fi
exit "$failed"
