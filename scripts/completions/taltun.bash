# SPDX-License-Identifier: MIT
# bash completion for taltun(8) and taltund(8); needs nothing but bash.
# shellcheck shell=bash

_taltun_commands="up down enroll status peers top events firewall doctor stun log-level genkey pubkey genpsk check-config import reload bench version help"

# Settings that --set takes; peers are set in the file only.
_taltun_settings="interface.name interface.private_key interface.private_key_file interface.address
	interface.listen_port interface.mtu interface.routes interface.fwmark interface.table
	interface.dns interface.dns_search interface.pre_up interface.post_up interface.pre_down
	interface.post_down datapath.mode datapath.interfaces datapath.queues datapath.umem_mb
	datapath.unknown_index datapath.workers datapath.poll datapath.aead
	datapath.forward_between_peers log.level log.format metrics.listen metrics.per_peer
	hub.server hub.name
	hub.certificate_file hub.key_file hub.ca_file hub.accept hub.networks gateway.firewall
	gateway.ip_forward gateway.masquerade gateway.subnets"

_taltun_set() {
	compopt -o nospace 2>/dev/null
	_taltun_words "${_taltun_settings//[[:space:]]/$'\n'}"
	COMPREPLY=("${COMPREPLY[@]/%/=}")
}

_taltun_words() {
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# Interfaces that are up: their control sockets say so.
_taltun_interfaces() {
	local socket names=
	for socket in "${TALTUN_RUN_DIR:-/run/taltun}"/*.sock; do
		[ -e "$socket" ] || continue
		socket=${socket##*/}
		names+=" ${socket%.sock}"
	done
	_taltun_words "$names"
}

# Names that `taltun up` finds by itself.
_taltun_configured() {
	local file names=
	for file in /etc/taltun/*.toml /etc/taltun/*.conf /etc/wireguard/*.conf; do
		[ -e "$file" ] || continue
		file=${file##*/}
		names+=" ${file%.*}"
	done
	_taltun_words "$names"
}

# _taltun_files SUFFIX...: files with one of the suffixes, and directories; none: all files.
_taltun_files() {
	local file suffix
	compopt -o filenames 2>/dev/null
	while IFS= read -r file; do
		if [ -d "$file" ] || [ $# -eq 0 ]; then
			COMPREPLY+=("$file")
			continue
		fi
		for suffix in "$@"; do
			[[ $file == *"$suffix" ]] && COMPREPLY+=("$file")
		done
	done < <(compgen -f -- "$cur")
}

_taltun_bench_options() {
	case $1 in
	datapath) echo "--backend --bytes --batch --sessions --workers --ms" ;;
	xdp) echo "--peer --ms" ;;
	esac
}

_taltun_bench() {
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	bench) _taltun_words "crypto datapath xdp" ;;
	--backend) _taltun_words "avx512 ipsec-mb libsodium" ;;
	xdp | --peer) _taltun_words "$(ls /sys/class/net 2>/dev/null)" ;;
	esac
}

# An interface, or the value of the option before.
_taltun_looking() {
	case ${COMP_WORDS[COMP_CWORD - 1]} in
	--sort) _taltun_words "rate name handshake" ;;
	--peer | --interval) ;;
	*) _taltun_interfaces ;;
	esac
}

_taltun() {
	local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}
	COMPREPLY=()
	if [ "$COMP_CWORD" -le 1 ]; then
		_taltun_words "$_taltun_commands --help --version"
		return
	fi
	if [[ $cur == -* ]]; then
		case $command in
		enroll) _taltun_words "--interface --accept --hub-address --config-dir --no-start --json --help" ;;
		status | peers) _taltun_words "--peer --json --help" ;;
		top) _taltun_words "--interval --sort --once --json --help" ;;
		events | firewall | doctor | log-level) _taltun_words "--json --help" ;;
		stun) _taltun_words "-4 -6 --port --json --help" ;;
		bench) _taltun_words "$(_taltun_bench_options "${COMP_WORDS[2]-}") --json --help" ;;
		check-config) _taltun_words "--set --dump --help" ;;
		version | help) ;;
		*) _taltun_words "--help" ;;
		esac
		return
	fi
	case $command in
	up) _taltun_configured && _taltun_files .toml .conf ;;
	down) _taltun_interfaces && _taltun_files .toml .conf ;;
	enroll) [ "${COMP_WORDS[COMP_CWORD - 1]}" != --config-dir ] || _taltun_files .none ;;
	status | peers | top | events | reload) _taltun_looking ;;
	firewall)
		if [ "$COMP_CWORD" -eq 2 ]; then _taltun_words show; else _taltun_interfaces; fi
		;;
	log-level)
		if [ "$COMP_CWORD" -eq 2 ]; then _taltun_interfaces; else _taltun_words "error warn info debug"; fi
		;;
	doctor) _taltun_words "$(ls /sys/class/net 2>/dev/null)" ;;
	check-config)
		if [ "${COMP_WORDS[COMP_CWORD - 1]}" = --set ]; then _taltun_set; else _taltun_files .toml .conf; fi
		;;
	import) if [ "$COMP_CWORD" -eq 2 ]; then _taltun_files .conf; else _taltun_files; fi ;;
	bench) _taltun_bench ;;
	help) _taltun_words "$_taltun_commands" ;;
	esac
}

_taltund() {
	local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case $before in
	-c | --config) _taltun_files .toml .conf ;;
	--log-file) _taltun_files ;;
	--log-level) _taltun_words "error warn info debug" ;;
	--log-format) _taltun_words "logfmt json" ;;
	--set) _taltun_set ;;
	*)
		[[ $cur != -* ]] || _taltun_words "--config --foreground --set --log-level --log-format
			--log-file --help --version -c -f -h -V"
		;;
	esac
}

complete -F _taltun taltun
complete -F _taltund taltund
