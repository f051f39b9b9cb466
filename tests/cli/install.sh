#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# make install puts everything in its place under DESTDIR, make uninstall takes exactly that away.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands make taltun taltund
stage=$TT_WORK/stage with=(-s -C "$TT_ROOT" "DESTDIR=$TT_WORK/stage")
is_file() { check "$1" test -s "$stage/$1"; }

check "make install" make "${with[@]}" PREFIX=/usr install
check "taltun runs from there" "$stage/usr/bin/taltun" version
check "taltund runs from there" "$stage/usr/sbin/taltund" --version
for f in share/man/man8/taltun.8 share/man/man8/taltund.8 share/man/man5/taltun.toml.5 \
	share/bash-completion/completions/taltun share/bash-completion/completions/taltund \
	share/zsh/site-functions/_taltun share/fish/vendor_completions.d/taltun.fish \
	share/fish/vendor_completions.d/taltund.fish share/doc/taltun/LICENSE \
	share/doc/taltun/README.md share/doc/taltun/architecture.md; do
	is_file "usr/$f"
done
if [ -x "$TT_BIN/taltun-hub" ]; then
	check "taltun-hub runs from there" "$stage/usr/sbin/taltun-hub" version
	for f in share/man/man8/taltun-hub.8 share/bash-completion/completions/taltun-hub \
		share/zsh/site-functions/_taltun-hub share/fish/vendor_completions.d/taltun-hub.fish; do
		is_file "usr/$f"
	done
fi
equal "programs are executable by all" "755 755" \
	"$(stat -c %a "$stage/usr/bin/taltun" "$stage/usr/sbin/taltund" | paste -sd' ')"
equal "nothing is writable by others" "" "$(find "$stage" ! -type l -perm /022)"
touch "$stage/usr/bin/other"
check "make uninstall" make "${with[@]}" PREFIX=/usr uninstall
equal "leaves what is not ours, and nothing else" "$stage/usr/bin/other" "$(find "$stage" ! -type d)"
check_not "nor our own directory" test -e "$stage/usr/share/doc/taltun"
check "make uninstall once more" make "${with[@]}" PREFIX=/usr uninstall
check "a prefix with a space" make "${with[@]}" "PREFIX=/opt/a b" install
check "is uninstalled too" make "${with[@]}" "PREFIX=/opt/a b" uninstall
equal "without a rest" "" "$(find "$stage/opt" ! -type d)"
check_not "a build without encryption is refused" make "${with[@]}" BENCH_NULL_AEAD=1 -n install
finish
