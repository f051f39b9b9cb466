#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The hub's command line as its operator meets it: help, exit statuses, errors that say what to do,
# tables that fit the terminal. Needs no rights and serves nothing.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun-hub sqlite3 jq python3
export LC_ALL=C.UTF-8
unset COLUMNS NO_COLOR
dir=$TT_WORK/hub
hub() { taltun-hub --dir "$dir" "$@"; }

# status MESSAGE WANT COMMAND...
status() {
	local message=$1 want=$2 got=0
	shift 2
	"$@" >"$TT_WORK/out" 2>"$TT_WORK/err" </dev/null || got=$?
	equal "$message" "$want" "$got"
}

# says MESSAGE FILE PATTERN: of the last `status`
says() { check "$1" grep -qE -- "$3" "$TT_WORK/$2"; }

# --- help and exit statuses --------------------------------------------------------------------

mapfile -t commands < <(taltun-hub help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
check "help lists its commands" test ${#commands[@]} -ge 10
for c in "${commands[@]}"; do
	case $c in help | version) continue ;; esac
	status "$c --help" 0 taltun-hub "$c" --help
	says "$c --help shows its usage" out "^usage: taltun-hub $c"
done
check_not "no line of any help is wider than 100 columns" eval \
	"for c in ${commands[*]}; do taltun-hub help \$c; done | grep -E '.{101}'"
status "help documents the exit statuses" 0 taltun-hub help
says "all of them" out '0 done, 1 failed, 2 .*, 3 .*, 78 '
status "version" 0 taltun-hub version
status "no command" 2 taltun-hub
status "an unknown command" 2 taltun-hub frobnicate
says "names it" err 'unknown command "frobnicate"; .taltun-hub help'
status "help of what is no command" 2 taltun-hub help frobnicate
status "init without a name" 2 hub init
status "token without what to do" 2 hub token
status "token create without a name" 2 hub token create
says "says what it is" err 'name NAME is needed'
status "node without what to do" 2 hub node
status "allow with one group" 2 hub allow staff
status "status with an argument" 2 hub status x
status "log-level that is none" 2 hub log-level loud
status "--dir without a value" 2 taltun-hub status --dir
status "nodes of no hub" 1 hub node list
says "says how to make one" err 'taltun-hub init --name HOST'
status "status of a hub that does not run" 3 hub status
says "says what starts it" err 'systemctl start taltun-hub'

# --- tables ------------------------------------------------------------------------------------

status "init" 0 hub init --name hub.example.com
status "its configuration" 0 hub check-config
says "is valid" out 'hub.toml: valid$'
printf '[limits]\nconections = 3\n' >"$TT_WORK/typo.toml"
status "one with a typo" 78 hub check-config "$TT_WORK/typo.toml"
says "says where" err 'typo.toml:2:1: '
status "one that is not there" 78 hub check-config "$TT_WORK/none.toml"
status "no nodes yet" 0 hub node list
says "says so" out '^no nodes$'
status "no tokens yet" 0 hub token list
says "says so, too" out '^no tokens$'
for i in 1 2 3; do
	hub token create --name "node-with-a-rather-long-name-for-any-terminal-$i" --group staff --group "field-$i" >>"$TT_WORK/tokens"
done
equal "a token is one line" 3 "$(wc -l <"$TT_WORK/tokens")"
status "tokens" 0 hub token list
says "in full where there is no terminal" out 'node-with-a-rather-long-name-for-any-terminal-2 +client +open .* staff field-2$'
for columns in 40 80; do
	COLUMNS=$columns hub token list >"$TT_WORK/out"
	equal "$columns columns: all tokens" 4 "$(wc -l <"$TT_WORK/out")"
	check "$columns columns: no line is wider" python3 -c \
		'import sys; sys.exit(max(map(len, open(sys.argv[1]).read().split("\n"))) > int(sys.argv[2]))' \
		"$TT_WORK/out" "$columns"
done
status "tokens in JSON" 0 hub token list --json
check "are three" jq -e 'length == 3 and all(.state == "open")' "$TT_WORK/out"
status "revoking nonsense" 2 hub token revoke nonsense
id=$(hub token list --json | jq -r '.[0].id')
status "revoking one" 0 hub token revoke "$id"
status "revoking it again" 1 hub token revoke "$id"
says "says that it is not there" err "there is no token $id"
status "a node that is not there" 1 hub node show nobody
says "is named" err 'there is no node "nobody"'

# What a node says of itself does not reach the terminal as it is.
sqlite3 "$dir/hub.db" "INSERT INTO nodes (name, wg_public_key, role, groups, version, hostname,
	enrolled_s, cert_serial, cert_until_s) VALUES ('eve', zeroblob(32), 0, 'staff', '1',
	'a' || char(27) || ']0;b' || char(7), 1, zeroblob(16), 2)" 2>"$TT_WORK/err"
if [ -s "$TT_WORK/err" ]; then
	skip "the database has another form: $(head -n 1 "$TT_WORK/err")"
else
	status "node show" 0 hub node show eve
	says "an escape sequence is shown as text" out 'hostname +a\?\]0;b\?$'
	check_not "and not sent" grep -q $'[\e\a]' "$TT_WORK/out"
	status "node list" 0 hub node list
	says "has it" out '^[0-9]+ +eve +client +- +- +never +staff$'
fi
finish
