# SPDX-License-Identifier: MIT
# bash completion for taltun-hub(8); needs nothing but bash.
# shellcheck shell=bash

_taltun_hub_words() {
	mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# Names of nodes, where the database may be read.
_taltun_hub_nodes() {
	_taltun_hub_words "$(taltun-hub node list 2>/dev/null | awk 'NR > 1 { print $2 }')"
}

_taltun_hub_tokens() {
	_taltun_hub_words "$(taltun-hub token list 2>/dev/null | awk 'NR > 1 { print $1 }')"
}

_taltun_hub_groups() {
	_taltun_hub_words "$(taltun-hub policy show 2>/dev/null | sed -n 's/^groups://p')"
}

_taltun-hub() {
	local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	COMPREPLY=()
	case $before in
	--dir) mapfile -t COMPREPLY < <(compgen -d -- "$cur") && return ;;
	--role) _taltun_hub_words "client gateway" && return ;;
	--group) _taltun_hub_groups && return ;;
	--name | --pool | --subnet | --expires) return ;;
	esac
	if [ "$COMP_CWORD" -eq 1 ]; then
		_taltun_hub_words "init serve check-config renew-server token node allow deny policy status log-level version help --dir"
		return
	fi
	case ${COMP_WORDS[1]} in
	init) _taltun_hub_words "--name --pool --dir --help" ;;
	serve) _taltun_hub_words "--no-udp-relay --ca-key-stdin --dir --help" ;;
	check-config) mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
	token)
		case ${COMP_WORDS[2]} in
		create) _taltun_hub_words "--name --role --group --subnet --expires --json --dir" ;;
		revoke) _taltun_hub_tokens ;;
		*) _taltun_hub_words "create list revoke --json --dir --help" ;;
		esac
		;;
	node)
		case $before in
		show | revoke) _taltun_hub_nodes ;;
		*) _taltun_hub_words "list show revoke --all --json --dir --help" ;;
		esac
		;;
	allow | deny) _taltun_hub_groups ;;
	policy) _taltun_hub_words "show --json --dir --help" ;;
	status) _taltun_hub_words "--json --dir --help" ;;
	log-level) _taltun_hub_words "error warn info debug --json --dir --help" ;;
	help) _taltun_hub_words "init serve check-config renew-server token node allow deny policy status log-level" ;;
	esac
}

complete -F _taltun-hub taltun-hub
