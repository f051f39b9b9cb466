#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual pages say what the programs do: every command, option, setting, drop reason and exit
# status is in them, and mandoc has nothing to say about their form.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund
man=$TT_ROOT/docs/man

# in_page PAGE WHAT WORD...: each word is in the page's text.
in_page() {
	local page=$1 what=$2 word missing=
	shift 2
	for word in "$@"; do
		grep -qE -- "(^|[^a-zA-Z_])${word//./\\.}([^a-zA-Z_-]|\$)" "$man/$page" || missing+=" $word"
	done
	equal "$page has every $what ($#)" "" "$missing"
}

mapfile -t words < <(taltun help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
in_page taltun.8 command "${words[@]}"
mapfile -t words < <(taltun help | grep '^Exit status' | grep -oE '[0-9]+ [a-z]' | cut -d' ' -f1)
in_page taltun.8 "exit status" "${words[@]}"
mapfile -t words < <(sed -nE 's/^\tX\([A-Z0-9_]+, "([a-z0-9_]+)"\).*/\1/p' "$TT_ROOT/userspace/base/drop.h" | grep -v '^none$')
in_page taltun.8 "drop reason" "${words[@]}"
mapfile -t words < <(sed -nE 's/^\tX\([A-Z_]+, "([a-z_]+)"\).*/\1/p' "$TT_ROOT/bpf/shared.h")
in_page taltun.8 "steering reason" "${words[@]}"
mapfile -t words < <(taltund --help | grep -oE '^ +(-[a-zA-Z], )?--[a-z-]+' | grep -oE '[a-z]+(-[a-z]+)*$')
in_page taltund.8 option "${words[@]}"
mapfile -t words < <(taltund --help | grep -oE '\b(TALTUN|LOG|WG)_[A-Z_]+')
in_page taltund.8 variable "${words[@]}"
mapfile -t words < <(taltund --help | sed -n '/^Exit status/,$s/^ *\([0-9]*\) .*/\1/p')
in_page taltund.8 "exit status" "${words[@]}"
mapfile -t words < <(sed -nE 's/^\t\{(IFACE|DPATH|LOG|METR|HUB|GATE|PEER)\("([a-z_]+)"\).*/\2/p' "$TT_ROOT/userspace/node/config_schema.c")
in_page taltun.toml.5 setting "${words[@]}"
mapfile -t words < <(sed -nE 's/^\t\{"([A-Za-z]+)", (IFACE|PEER), .*/\1/p' "$TT_ROOT/userspace/node/config_wgquick.c")
in_page taltun.toml.5 "wg-quick key" "${words[@]}"

mapfile -t words < <(cut -d' ' -f1 "$TT_ROOT/tests/golden/metrics-node.txt")
missing=
for word in "${words[@]}"; do
	grep -qF "\`$word\`" "$TT_ROOT/docs/operations.md" || missing+=" $word"
done
equal "operations.md has every metric of a node (${#words[@]})" "" "$missing"

if command -v taltun-hub >/dev/null; then
	mapfile -t words < <(taltun-hub help | sed -nE 's/^  ([a-z][a-z-]*) {2,}.*/\1/p')
	in_page taltun-hub.8 command "${words[@]}"
	mapfile -t words < <(taltun-hub help | grep '^Exit status' -A 1 | grep -oE '[0-9]+ [a-z]' | cut -d' ' -f1)
	in_page taltun-hub.8 "exit status" "${words[@]}"
	mapfile -t words < <(sed -nE 's/^\t\{"[a-z]+", "([a-z_]+)", .*/\1/p' "$TT_ROOT/userspace/hub/config.c")
	in_page taltun-hub.8 setting "${words[@]}"
else
	skip "taltun-hub is not built"
fi
if command -v mandoc >/dev/null; then
	for page in "$man"/*.[58]; do
		check "mandoc is content with $(basename "$page")" mandoc -T lint -W warning "$page"
	done
else
	skip "mandoc is not installed"
fi
finish
