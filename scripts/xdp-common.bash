# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# Shared by xdp-load.sh, xdp-unload.sh and xdp-status.sh.
set -u

xdp_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
xdp_program=taltun_steer

xdp_object() { echo "${TALTUN_STEER_OBJECT:-$xdp_root/build/bpf/steer.bpf.o}"; }

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# What every one of the three needs. $1: the interface
xdp_require() {
	[ "$(id -u)" -eq 0 ] || die "needs root"
	command -v bpftool >/dev/null || die "needs bpftool (Debian package bpftool)"
	command -v ip >/dev/null || die "needs ip (Debian package iproute2)"
	ip link show dev "$1" >/dev/null 2>&1 || die "there is no interface '$1'"
}

xdp_driver() {
	local d
	d=$(ethtool -i "$1" 2>/dev/null | sed -n 's/^driver: //p')
	echo "${d:-unknown}"
}

# "MODE ID" of what is attached to an interface; nothing where it is free.
xdp_attached() {
	bpftool -j net show dev "$1" 2>/dev/null |
		sed -nE 's/.*"xdp":\[\{[^]]*"mode":"([a-z]+)","id":([0-9]+).*/\1 \2/p'
}

xdp_name() {
	bpftool prog show id "$1" 2>/dev/null | sed -nE '1s/.* name ([^ ]+).*/\1/p'
}

# The id of one of a program's maps. $1: program id, $2: map name
xdp_map() {
	local id
	for id in $(bpftool -j prog show id "$1" 2>/dev/null |
		sed -nE 's/.*"map_ids":\[([0-9,]+)\].*/\1/p' | tr , ' '); do
		if bpftool map show id "$id" 2>/dev/null | grep -qw "name $2"; then
			echo "$id"
			return
		fi
	done
}

# A field of the configuration map. $1: program id, $2: field
xdp_config() {
	bpftool map lookup id "$(xdp_map "$1" steer_config)" key 0 0 0 0 2>/dev/null |
		sed -nE "s/.*\"$2\": \"?([^\",]*)\"?,?\$/\1/p" | head -n 1
}

xdp_owner() { xdp_config "$1" owner; }

# True where the program hangs on a link, as taltund's does, and not on the interface itself.
xdp_is_link() {
	bpftool link show 2>/dev/null | grep -qE "^[0-9]+: xdp  prog $1( |\$)"
}

# "taltund tt0", "program xdp_dispatcher (id 7)"
xdp_holder() {
	local name
	name=$(xdp_name "$1")
	if [ "$name" = "$xdp_program" ]; then
		if xdp_is_link "$1"; then
			echo "taltund $(xdp_owner "$1")"
		else
			echo "xdp-load.sh"
		fi
	else
		echo "program ${name:-?} (id $1)"
	fi
}

# The four bytes of a number as bpftool wants them, least significant first.
le32() {
	local i
	for i in 0 8 16 24; do printf '%d ' $(($1 >> i & 255)); done
}
le64() {
	local i
	for i in 0 8 16 24 32 40 48 56; do printf '%d ' $(($1 >> i & 255)); done
}
