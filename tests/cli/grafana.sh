#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The dashboard and the alert rules of docs/grafana name metrics that there are (those of the golden
# lists, which the programs' own tests compare with what they serve), every query parses, the alerts
# fire when they should, and no family is without its line in the documentation.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands jq python3
dir=$TT_ROOT/docs/grafana
golden=("$TT_ROOT/tests/golden/metrics-node.txt" "$TT_ROOT/tests/golden/metrics-hub.txt")

check "the dashboard is JSON" jq -e '.panels | length > 20' "$dir/taltun.json"
jq -r '[.panels[].targets[]?.expr, .annotations.list[].expr,
	(.templating.list[].query | if type == "object" then .query else empty end)][]' \
	"$dir/taltun.json" >"$TT_WORK/exprs"
equal "each panel has a number of its own" "" "$(jq -r '.panels[].id' "$dir/taltun.json" | sort | uniq -d)"
equal "and a place that no other has" "" \
	"$(jq -r '.panels[] | "\(.gridPos.x) \(.gridPos.y)"' "$dir/taltun.json" | sort | uniq -d)"
equal "and a title" 0 "$(jq '[.panels[] | select((.title // "") == "")] | length' "$dir/taltun.json")"

# Every metric a text names that there is not: what is no name in it (labels, functions) has no such
# beginning. A histogram has three names.
cat >"$TT_WORK/names.py" <<'END'
import re, sys

known = {"up"}
for path in sys.argv[2:]:
    for line in open(path):
        name, kind = line.split()
        known.add(name)
        if kind == "histogram":
            known.update(name + end for end in ("_bucket", "_sum", "_count"))
text = open(sys.argv[1]).read()
named = set(re.findall(r"\b(?:taltun|process)_[a-z0-9_]+", text))
print(len(named), " ".join(sorted(named - known)))
END
unknown() { # FILE: how many it names, and those that there are not
	python3 "$TT_WORK/names.py" "$1" "${golden[@]}"
}
read -r count missing <<<"$(unknown "$TT_WORK/exprs")"
equal "the dashboard names metrics that there are ($count)" "" "$missing"
check "and most of them" test "$count" -ge 70
grep -E '^ +expr:' "$dir/alerts.yml" >"$TT_WORK/rules"
read -r count missing <<<"$(unknown "$TT_WORK/rules")"
equal "the rules name metrics that there are ($count)" "" "$missing"
check "and what matters" test "$count" -ge 20

# documented FILE GOLDEN: families without a word in the page. `a_total`, `_b_total` names both.
documented() {
	local name missing=
	while read -r name _; do
		case $name in process_* | taltun_http_*) continue ;; esac
		grep -q "\`$name\`" "$1" || grep -qE "\`_${name##*_connections_}\`" "$1" || missing+=" $name"
	done <"$2"
	echo "$missing"
}
equal "every metric of a node is explained" "" "$(documented "$TT_ROOT/docs/operations.md" "${golden[0]}")"
equal "every metric of a hub is explained" "" "$(documented "$TT_ROOT/docs/hub.md" "${golden[1]}")"

if ! command -v promtool >/dev/null; then
	skip "promtool is not installed: queries, rules and alerts"
	finish
fi
check "promtool takes the rules" promtool check rules "$dir/alerts.yml"
# the dashboard's queries as rules, with something in the place of its variables
python3 - "$dir/taltun.json" >"$TT_WORK/panels.yml" <<'END'
import json, re, sys

print("groups:\n  - name: panels\n    rules:")
board = json.load(open(sys.argv[1]))
exprs = [t["expr"] for p in board["panels"] for t in p.get("targets", [])]
exprs += [a["expr"] for a in board["annotations"]["list"]]
for i, e in enumerate(exprs):
    e = e.replace("$__rate_interval", "5m")
    e = re.sub(r"\$(job|node|hub)", "x", e)
    print("      - record: panel:%d\n        expr: %s" % (i, json.dumps(e)))
END
check "and every query of the dashboard" promtool check rules "$TT_WORK/panels.yml"
cp "$dir/alerts.yml" "$TT_WORK/alerts.yml"
cp "$TT_ROOT/tests/cli/alerts.yml" "$TT_WORK/alerts-test.yml"
check "the alerts fire when they should" promtool test rules "$TT_WORK/alerts-test.yml"
finish
