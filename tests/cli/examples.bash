#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Takes the example configurations out of the documentation, puts real keys into them, and asks
# taltun whether they are valid. Called by cli.sh.
#
# usage: tests/cli/examples.bash man|readme FOLDER
set -u

root=$(cd "$(dirname "$0")/../.." && pwd)
work=$2/examples-$1
mkdir -p "$work"

# "…" and words that stand for a key become keys, key files become files at hand.
fill_in() {
	local key
	key=$(taltun genkey | taltun pubkey)
	(umask 077 && taltun genkey >"$work/own.key" && taltun genpsk >"$work/peer.psk")
	sed -E -e "s|\"/[^\"]*\.key\"|\"$work/own.key\"|; s|\"/[^\"]*\.psk\"|\"$work/peer.psk\"|" \
		-e "s|(public_key = )\"[^\"]*\"|\1\"$key\"|"
}

# Blocks between FROM and TO that hold [interface], each into a file.
blocks() {
	awk -v from="$1" -v to="$2" -v out="$work/block" '
		$0 ~ to && on { on = 0; if (text ~ /\[interface\]/) print text > (out (++n) ".raw"); next }
		$0 ~ from { on = 1; text = ""; next }
		on { text = text $0 "\n" }' "$3"
}

case $1 in
man) blocks '^\.Bd' '^\.Ed' "$root/docs/man/taltun.toml.5" ;;
readme) blocks '^```toml' '^```$' "$root/README.md" ;;
esac
n=0
for raw in "$work"/block*.raw; do
	[ -e "$raw" ] || break
	fill_in <"$raw" >"${raw%.raw}.toml"
	chmod 600 "${raw%.raw}.toml"
	taltun check-config "${raw%.raw}.toml" || exit 1
	n=$((n + 1))
done
[ "$n" -gt 0 ]
