#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Makes the Debian packages taltun and taltun-hub of what is built, without a network: dpkg-deb and
# dpkg-shlibdeps (package dpkg-dev) are all it needs.
#
# usage: packaging/deb/build.sh [DIRECTORY]      (default: build/deb)
# DEB_VERSION=V   other than the program's; DEBFULLNAME and DEBEMAIL: whose packages they are
# SOURCE_DATE_EPOCH counts: the same inputs give the same bytes
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(mkdir -p "${1:-$root/build/deb}" && cd "${1:-$root/build/deb}" && pwd)
bin=${TT_BIN:-$root/build/bin}
version=${DEB_VERSION:-$("$bin/taltun" version | cut -d' ' -f2)}
maintainer="${DEBFULLNAME:-Taltun developers} <${DEBEMAIL:-taltun@localhost.localdomain}>"
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022

work=$(mktemp -d "$out/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
make -s -C "$root" DESTDIR="$work/all" PREFIX=/usr UNITDIR=/lib/systemd/system \
	FAIL2BANDIR=/usr/share/doc/taltun-hub/fail2ban install

# move PACKAGE PATH...: from what was installed into the package
move() {
	local package=$1 path
	shift
	for path in "$@"; do
		mkdir -p "$work/$package/$(dirname "$path")"
		mv "$work/all/$path" "$work/$package/$path"
	done
}

split() {
	move taltun-hub usr/sbin/taltun-hub usr/share/man/man8/taltun-hub.8 \
		lib/systemd/system/taltun-hub.service usr/lib/sysusers.d/taltun-hub.conf \
		usr/share/bash-completion/completions/taltun-hub usr/share/zsh/site-functions/_taltun-hub \
		usr/share/fish/vendor_completions.d/taltun-hub.fish usr/share/doc/taltun-hub/fail2ban \
		usr/share/doc/taltun/hub.md usr/share/doc/taltun/protocol-hub.md
	mkdir -p "$work/taltun-hub/usr/share/doc/taltun-hub"
	mv "$work/taltun-hub/usr/share/doc/taltun/"* "$work/taltun-hub/usr/share/doc/taltun-hub/"
	rmdir "$work/taltun-hub/usr/share/doc/taltun"
	mkdir -p "$work/taltun"
	cp -a "$work/all/." "$work/taltun/"
	rm -rf "$work/taltun/usr/share/doc/taltun-hub" "$work/taltun/usr/share/doc/taltun/LICENSE" \
		"$work/taltun/usr/share/doc/taltun/testing.md"
	# zsh looks elsewhere in Debian
	local p
	for p in taltun taltun-hub; do
		mkdir -p "$work/$p/usr/share/zsh/vendor-completions" "$work/$p/etc/taltun"
		mv "$work/$p/usr/share/zsh/site-functions/"* "$work/$p/usr/share/zsh/vendor-completions/"
		rmdir "$work/$p/usr/share/zsh/site-functions"
	done
}

documents() {
	local package=$1 doc=$work/$1/usr/share/doc/$1
	mkdir -p "$doc"
	{
		printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n'
		printf 'Upstream-Name: taltun\n\nFiles: *\nCopyright: %s\nLicense: Expat\n' \
			"$(sed -n 's/^Copyright (c) //p' "$root/LICENSE" | head -n 1)"
		sed -n '/^Permission/,$p' "$root/LICENSE" | sed 's/^$/./; s/^/ /'
	} >"$doc/copyright"
	printf '%s (%s) stable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' "$package" \
		"$version" "$maintainer" "$(LC_ALL=C date -R -u -d "@$SOURCE_DATE_EPOCH")" |
		gzip -9n >"$doc/changelog.gz"
	[ ! -f "$doc/CHANGELOG.md" ] || gzip -9n "$doc/CHANGELOG.md"
	find "$work/$package/usr/share/man" -type f -exec gzip -9n {} +
}

programs_of() { find "$1/usr" -path '*/*bin/*' -type f -print0; }

# Libraries of the stripped programs, by the packages that are installed here.
library_depends() {
	local package=$1
	mkdir -p "$work/debian"
	printf 'Source: taltun\n\nPackage: %s\nArchitecture: any\n' "$package" >"$work/debian/control"
	(cd "$work" && programs_of "$package" | xargs -0 dpkg-shlibdeps --warnings=0 -O) |
		sed -n 's/^shlibs:Depends=//p'
}

strip_programs() {
	programs_of "$work/$1" | xargs -0 strip --strip-unneeded --remove-section=.comment --remove-section=.note
}

control() {
	local package=$1 depends
	depends=$(library_depends "$package")
	[ -n "$depends" ] || { echo "build.sh: no libraries found for $package" >&2 && exit 1; }
	mkdir -p "$work/$package/DEBIAN"
	{
		printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: %s\n' \
			"$package" "$version" "$arch" "$maintainer"
		printf 'Installed-Size: %s\n' "$(du -sk --apparent-size --exclude=DEBIAN "$work/$package" | cut -f1)"
		sed "s/@LIBRARIES@/$depends/; s/@VERSION@/$version/" "$here/$package.control"
	} >"$work/$package/DEBIAN/control"
	for script in postinst prerm postrm; do
		install -m 755 "$here/$package.$script" "$work/$package/DEBIAN/$script"
	done
	[ ! -f "$here/$package.conffiles" ] || install -m 644 "$here/$package.conffiles" "$work/$package/DEBIAN/conffiles"
	(cd "$work/$package" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' |
		LC_ALL=C sort -z | xargs -0r md5sum) >"$work/$package/DEBIAN/md5sums"
}

split
for package in taltun taltun-hub; do
	if [ -d "$here/$package.files" ]; then
		cp -R "$here/$package.files/." "$work/$package/"
	fi
	strip_programs "$package"
	documents "$package"
	control "$package"
	find "$work/$package" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
	dpkg-deb --root-owner-group -Zxz --build "$work/$package" \
		"$out/${package}_${version}_$arch.deb" >/dev/null
	echo "$out/${package}_${version}_$arch.deb"
done
