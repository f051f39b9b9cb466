#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Arrows point down only. Two proofs: the objects of base, crypto, wg and mesh use no symbol outside
# scripts/layers.allow, and a source that includes a header of a layer it must not see does not
# compile. Works on the plain build; BUILD= names another build folder, CC= another compiler.
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
CC=${CC:-gcc}
ALLOW=scripts/layers.allow
passed=0 failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/check-layers.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }

# defined ARCHIVE: the global symbols that it has
defined() { nm --defined-only -g "$1" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u; }

# undefined ARCHIVE: "OBJECT SYMBOL" for everything that an object of it takes from elsewhere
undefined() {
	nm -u -A "$1" 2>/dev/null | awk '{ n = split($1, part, ":"); print part[n - 1], $NF }'
}

# allowed LAYER SYMBOL BELOW: by name, or defined in the layer itself or below and not taken back
allowed() {
	awk -v layer="$1" -v symbol="$2" '
		function hit(pattern) {
			if (pattern ~ /\*$/)
				return index(symbol, substr(pattern, 1, length(pattern) - 1)) == 1
			return symbol == pattern
		}
		FILENAME == ARGV[1] {
			if ($0 ~ /^#/ || NF != 2 || ($1 != "*" && $1 != layer))
				next
			if ($2 ~ /^!/) { if (hit(substr($2, 2))) denied = 1 }
			else if (hit($2)) named = 1
			next
		}
		$1 == symbol { below = 1 }
		END { exit !(named || (below && !denied)) }' "$ALLOW" "$3"
}

# check_symbols LAYER ARCHIVE: prints what is not allowed; $work/below holds what may be used
check_symbols() {
	local layer=$1 object symbol
	undefined "$2" | sort -u -k2,2 | while read -r object symbol; do
		allowed "$layer" "$symbol" "$work/below" || echo "$layer: $object uses $symbol"
	done
}

# check_layer LAYER "BELOW": wg and mesh stand side by side, and neither may use the other
check_layer() {
	local layer=$1 archive="$BUILD/lib/libtt-$1.a" bad below
	if [ ! -s "$archive" ] || [ -z "$(defined "$archive")" ]; then
		fail "$layer: $archive has no symbols"
		return
	fi
	for below in $2 "$layer"; do defined "$BUILD/lib/libtt-$below.a"; done > "$work/below"
	bad=$(check_symbols "$layer" "$archive")
	if [ -z "$bad" ]; then pass; else
		failed=$((failed + 1))
		printf '%s\n' "$bad" | sed 's/^/FAIL /'
	fi
}

# The check itself: an object of wg that reads a clock, allocates and logs is found out.
check_detects() {
	cat > "$work/wrong.c" <<-'END'
		#include <stdlib.h>
		#include <time.h>
		#include "base/log.h"
		void *wrong(struct timespec *t);
		void *wrong(struct timespec *t)
		{
			clock_gettime(CLOCK_MONOTONIC, t);
			tt_log(TT_LOG_INFO, "wrong", TT_F_U64("n", 1));
			return malloc(10);
		}
	END
	"$CC" -std=gnu11 -D_GNU_SOURCE -I"$BUILD/inc/wg" -c "$work/wrong.c" -o "$work/wrong.o" &&
		ar rcs "$work/wrong.a" "$work/wrong.o"
	local symbol found
	found=$(check_symbols wg "$work/wrong.a")
	for symbol in clock_gettime malloc tt_log_fields; do
		case $found in *"uses $symbol"*) pass ;; *) fail "check does not see $symbol" ;; esac
	done
}

header_of() {
	local dir=userspace/$1
	[ "$1" = plat ] && dir=platform/include/plat
	find "$dir" -maxdepth 1 -name '*.h' | sort | sed -n "1s|.*/|$1/|p"
}

# Preprocessed only: that a header is found is the question, not whether it is right.
compiles() {
	printf '#include "%s"\n' "$2" |
		"$CC" -std=gnu11 -D_GNU_SOURCE -DTT_HAVE_IPSEC_MB=1 -I"$BUILD/inc/$1" \
			-E -o /dev/null -x c - 2>/dev/null
}

# check_includes LAYER "SEES" "HIDDEN"
check_includes() {
	local layer=$1 other header
	for other in $2; do
		header=$(header_of "$other")
		if compiles "$layer" "$header"; then pass; else
			fail "$layer cannot include $header"
		fi
	done
	for other in $3; do
		header=$(header_of "$other")
		if [ -z "$header" ]; then
			fail "$other has no header to try"
		elif compiles "$layer" "$header"; then
			fail "$layer can include $header"
		else
			pass
		fi
	done
}

# Between the folders of platform/ is inside one layer: linux may build on what posix has.
check_relative_includes() {
	local found
	found=$(grep -rnE '#[[:space:]]*include[[:space:]]*["<](\.\./|.*/\.\./|userspace/|platform/)' \
		userspace platform --include='*.[ch]' --include='*.cc' --include='*.hh' |
		grep -vE '^platform/[a-z]+/[^:]*:[0-9]+:#include "\.\./(posix|none)/[a-z_]+\.h"')
	if [ -z "$found" ]; then pass; else fail "an include goes around the layers: $found"; fi
}

libs=("$BUILD/lib/libtt-base.a" "$BUILD/lib/libtt-crypto.a" "$BUILD/lib/libtt-wg.a"
	"$BUILD/lib/libtt-mesh.a")
incs=()
for l in base crypto wg mesh plat datapath cli; do incs+=("$BUILD/inc/$l/.made"); done
make -s BUILD="$BUILD" "${libs[@]}" "${incs[@]}" > "$work/make.log" 2>&1 || {
	tail -n 20 "$work/make.log"
	fail "the layers do not build"
}

check_layer base ""
check_layer crypto "base"
check_layer mesh "base crypto"
check_layer wg "base crypto"
check_detects
check_includes base "base" "crypto wg mesh datapath node plat"
check_includes crypto "base crypto" "wg mesh datapath node plat"
check_includes wg "base crypto wg" "mesh datapath node plat"
check_includes mesh "base crypto mesh" "wg datapath node plat"
check_includes cli "base cli" "crypto wg mesh datapath node plat hub"
check_includes plat "base plat" "crypto wg mesh datapath node"
check_includes datapath "base crypto wg mesh plat datapath" "node"
check_relative_includes

echo "check-layers: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
