#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The three completions know what the programs know: every command of `taltun help`, every option of
# `taltund --help`, every setting that --set takes. The bash one is asked word by word; zsh and fish
# only where they are installed.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund
dir=$TT_ROOT/scripts/completions
mapfile -t commands < <(taltun help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
mapfile -t options < <(taltund --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+')
# All of the schema's sections, by the names of their macros, but those of [[peer]].
mapfile -t settings < <(
	awk -F'[(), \t]+' '/^#define [A-Z]+\(n\)/ {
		for (i = 1; i <= NF; i++)
			if ($i ~ /^NODE_SECTION_/) { sub("NODE_SECTION_", "", $i); section[$2] = tolower($i) }
	}
	match($0, /^\t\{[A-Z]+\("[a-z_]+"\)/) {
		split(substr($0, 3, RLENGTH - 2), part, /[("]+/)
		if (section[part[1]] != "peer")
			print section[part[1]] "." part[2]
	}' "$TT_ROOT/userspace/node/config_schema.c"
)
check "taltun help lists its commands" test ${#commands[@]} -ge 13
check "taltund --help lists its options" test ${#options[@]} -ge 8
check "the schema lists the settings" test ${#settings[@]} -ge 20

# has NAME FILE BEFORE AFTER WORD...: each word stands in the file between the two expressions.
has() {
	local name=$1 file=$dir/$2 before=$3 after=$4 word missing=
	shift 4
	for word in "$@"; do
		grep -qE -- "$before$word$after" "$file" || missing+=" $word"
	done
	equal "$name" "" "$missing"
}

has "zsh names every command" _taltun "^		'" ":" "${commands[@]}"
has "fish names every command" taltun.fish " -a " " -d " "${commands[@]}"
has "zsh names every option of taltund" _taltun "--" "[]=}[]" "${options[@]#--}"
has "fish names every option of taltund" taltun.fish "-c taltund .*-l " " " "${options[@]#--}"
for file in _taltun taltun.fish; do
	has "$file names every setting" $file "[{,]" "[,}]" "${settings[@]#*.}"
done

# --- bash ------------------------------------------------------------------------------------

# shellcheck source=scripts/completions/taltun.bash
. "$dir/taltun.bash"

# offered WORD... CURRENT: what would be offered, sorted, on one line.
offered() {
	local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
	"_$1"
	printf '%s\n' "${COMPREPLY[@]}" | sort -u | paste -sd' '
}

sorted() { printf '%s\n' "$@" | sort -u | paste -sd' '; }

mkdir -p "$TT_WORK/run" "$TT_WORK/files/sub"
touch "$TT_WORK/run/tt0.sock" "$TT_WORK/run/wg1.sock" "$TT_WORK/run/tt0.lock"
touch "$TT_WORK"/files/{a.toml,b.conf,c.txt,"d e.conf"}
export TALTUN_RUN_DIR=$TT_WORK/run
f=$TT_WORK/files

equal "commands" "$(sorted "${commands[@]}" --help --version)" "$(offered taltun '')"
equal "commands by their beginning" "pubkey" "$(offered taltun pu)"
equal "help takes a command" "$(sorted "${commands[@]}")" "$(offered taltun help '')"
equal "status takes an interface" "tt0 wg1" "$(offered taltun status '')"
equal "peers takes an interface" "tt0 wg1" "$(offered taltun peers '')"
equal "doctor takes a network interface" "lo" "$(offered taltun doctor lo)"
equal "reload takes an interface" "wg1" "$(offered taltun reload w)"
equal "down takes an interface" "tt0" "$(offered taltun down tt)"
equal "down takes a file" "$f/a.toml $f/b.conf $f/d e.conf $f/sub" "$(offered taltun down "$f/")"
equal "up takes a file" "$f/a.toml $f/b.conf $f/d e.conf $f/sub" "$(offered taltun up "$f/")"
equal "check-config takes a file" "$f/a.toml" "$(offered taltun check-config "$f/a")"
equal "import takes a .conf" "$f/b.conf $f/d e.conf $f/sub" "$(offered taltun import "$f/")"
equal "and any second file" "$f/a.toml $f/b.conf $f/c.txt $f/d e.conf $f/sub" \
	"$(offered taltun import b.conf "$f/")"
equal "bench takes what to measure" "crypto datapath xdp" "$(offered taltun bench '')"
equal "options of bench datapath" "--backend --batch --bytes --help --json --ms --sessions --workers" \
	"$(offered taltun bench datapath --)"
equal "options of bench xdp" "--help --json --ms --peer" "$(offered taltun bench xdp --)"
equal "bench xdp takes a network interface" "lo" "$(offered taltun bench xdp lo)"
equal "backends" "avx512 ipsec-mb libsodium" "$(offered taltun bench datapath --backend '')"
equal "options of top" "--help --interval --json --once --sort" "$(offered taltun top --)"
equal "orders of top" "rate" "$(offered taltun top --sort r)"
equal "top takes an interface" "tt0 wg1" "$(offered taltun top '')"
equal "options of status" "--help --json --peer" "$(offered taltun status --)"
equal "options of check-config" "--dump --help --set" "$(offered taltun check-config x.toml -)"
equal "genkey takes nothing" "" "$(offered taltun genkey '')"
equal "no interface is up" "" "$(TALTUN_RUN_DIR=$TT_WORK/none offered taltun status '')"
equal "options of taltund" "$(sorted "${options[@]}")" "$(offered taltund --)"
every_setting=$(printf '%s=\n' "${settings[@]}" | sort -u | paste -sd' ')
equal "settings of --set" "$every_setting" "$(offered taltund --set '')"
equal "the same for check-config" "$every_setting" "$(offered taltun check-config --set '')"
equal "--config takes a file" "$f/a.toml" "$(offered taltund --config "$f/a")"
equal "--log-level takes a word" "debug" "$(offered taltund --log-level d)"
equal "--log-format takes a word" "json logfmt" "$(offered taltund --log-format '')"

# --- taltun-hub ------------------------------------------------------------------------------

if command -v taltun-hub >/dev/null; then
	# shellcheck source=scripts/completions/taltun-hub.bash
	. "$dir/taltun-hub.bash"
	mapfile -t hub_commands < <(taltun-hub help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
	has "zsh names every command of taltun-hub" _taltun-hub "^	'" ":" "${hub_commands[@]}"
	mapfile -t fish_commands < <(printf '%s\n' "${hub_commands[@]}" | grep -vx -e version -e help)
	has "fish names every command of taltun-hub" taltun-hub.fish " -a " " -d " "${fish_commands[@]}"
	equal "commands of taltun-hub" "$(sorted "${hub_commands[@]}" --dir)" "$(offered taltun-hub '')"
	equal "roles" "client gateway" "$(offered taltun-hub token create --role '')"
	equal "nodes" "list revoke show" "$(offered taltun-hub node '' | tr ' ' '\n' | grep -v -- -- | paste -sd' ')"
else
	skip "taltun-hub is not built"
fi

# --- zsh and fish ----------------------------------------------------------------------------

if command -v zsh >/dev/null; then
	check "zsh reads its completion" zsh -n "$dir/_taltun"
else
	skip "zsh is not installed"
fi

ask_fish() {
	fish --no-config -c "source '$dir/taltun.fish'; complete -C '$1'" | cut -f1 | sort -u | paste -sd' '
}

if command -v fish >/dev/null; then
	equal "fish: commands" "$(sorted "${commands[@]}")" "$(ask_fish 'taltun ')"
	equal "fish: interfaces" "tt0 wg1" "$(ask_fish 'taltun status ')"
	equal "fish: settings" "log.format= log.level=" "$(ask_fish 'taltund --set log')"
else
	skip "fish is not installed"
fi
finish
