#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# README and docs/: links lead somewhere, commands exist and take the options that are shown, and
# configuration is valid. Nothing of it is run but with --help.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund python3
cd "$TT_ROOT" || exit 1

equal "links lead to pages and headings that are there" "" "$(python3 tests/cli/support/links.py README.md CONTRIBUTING.md docs/*.md)"

# --- commands ----------------------------------------------------------------------------------

# not the pages of protocols, where a text may begin with a program's name
mapfile -t guides < <(find README.md docs -maxdepth 1 -name '*.md' ! -name 'protocol-*')

# Of indented and of quoted text: what follows the program's name, up to something of the shell.
# shellcheck disable=SC2016 # what quotes a command
said_of() {
	{
		sed -nE 's/^    (.*[ $])?'"$1"' /    /p' "${guides[@]}"
		grep -ohE '`(sudo )?'"$1"' [^`]*`' "${guides[@]}" | sed -E 's/^`(sudo )?'"$1"' /    /; s/`$//'
	} | sed -E 's/[|<>;&#].*//; s/ +$//' | sort -u
}

commands_of() { "$1" help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p'; }

# wrong_in PROGRAM: lines with a command that is none, or with an option that its --help does not have
wrong_in() {
	local line command option options usage known
	known=" $(commands_of "$1" | paste -sd' ') "
	while read -r line; do
		command=${line%% *}
		case $command in
		--dir) command=$(cut -d' ' -f3 <<<"$line") ;;
		-* | '' | *[!a-z-]*) continue ;;
		esac
		[[ $known == *" $command "* ]] || { echo "$1 $line: no such command" && continue; }
		usage=$("$1" "$command" --help)
		read -ra options < <(grep -oE -- '(^| )--[a-z][a-z-]*' <<<"$line" | paste -sd' ')
		for option in "${options[@]}"; do
			[[ $option == --dir || $option == --json || $usage == *"$option"* ]] ||
				echo "$1 $line: $option is not in $1 $command --help"
		done
	done < <(said_of "$1")
}

less "README and docs show many commands of taltun" 20 "$(said_of taltun | wc -l)"
equal "all of which it has" "" "$(wrong_in taltun)"
if command -v taltun-hub >/dev/null; then
	equal "the hub's as well" "" "$(wrong_in taltun-hub)"
else
	skip "taltun-hub is not built"
fi
# shellcheck disable=SC2016 # what quotes a command
equal "scripts that are named are there" "" "$(grep -ohE '(scripts|packaging|tests)/[A-Za-z0-9_./@-]+\.(sh|awk|py|json)' \
	README.md docs/*.md | sort -u | while read -r f; do [ -e "$f" ] || echo "$f"; done)"
equal "targets of make that are named are there" "" "$(grep -ohE '(^|[^a-z])make (check[a-z-]*|deb|demo|bench|soak|install|uninstall|format|lint)' \
	README.md docs/*.md CONTRIBUTING.md | sed 's/.*make //' | sort -u | while read -r t; do
		make -n "$t" >/dev/null 2>&1 || echo "$t"
	done)"

# --- configuration -----------------------------------------------------------------------------

# A block of TOML as a whole file: a key where there is none, and for words that stand for one.
key=$(taltun genkey | taltun pubkey)
blocks() {
	python3 - "$TT_WORK" "$key" README.md docs/operations.md docs/containers.md <<-'END'
		import re, sys
		folder, key, *pages = sys.argv[1:]
		n = 0
		for page in pages:
		    for block in re.findall(r"^```toml\n(.*?)^```", open(page).read(), re.M | re.S):
		        block = re.sub(r'"the .*public key"', f'"{key}"', block)
		        block = re.sub(r'^private_key_file = .*$', '', block, flags=re.M)
		        if "[interface]" not in block:
		            block = "[interface]\n" + block
		        block = block.replace("[interface]", f'[interface]\nprivate_key = "{key}"', 1)
		        n += 1
		        open(f"{folder}/{n}.toml", "w").write(block)
	END
}
blocks
chmod 600 "$TT_WORK"/*.toml
less "there is configuration in README and docs" 2 "$(find "$TT_WORK" -name '*.toml' | wc -l)"
for f in "$TT_WORK"/*.toml; do
	check "${f##*/} is valid" taltun check-config "$f"
done
finish
