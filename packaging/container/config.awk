# SPDX-License-Identifier: MIT
# The last stage of a Containerfile as the "config" of an image, in JSON. One line for each instruction,
# lists as JSON, durations in s or m.

function rest() {
	sub(/^[A-Z]+ +/, "")
	return $0
}

function add(list, s) {
	return list (list ? "," : "") s
}

# A set is an object of empty objects there.
function set_of(n, words,    i, list) {
	for (i = 1; i <= n; i++) {
		gsub(/[][", ]/, "", words[i])
		list = add(list, "\"" words[i] "\":{}")
	}
	return "{" list "}"
}

function option(name) {
	if (!match($0, "--" name "=[0-9sm]+"))
		return "0"
	return substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3)
}

function ns(name,    s) {
	s = option(name)
	return (s + 0) * (s ~ /m$/ ? 60 : 1) "000000000"
}

function pair(s,    i) {
	i = index(s, "=")
	return "\"" substr(s, 1, i - 1) "\":\"" substr(s, i + 1) "\""
}

function health(    times) {
	times = "\"Interval\":" ns("interval") ",\"Timeout\":" ns("timeout")
	times = times ",\"StartPeriod\":" ns("start-period") ",\"Retries\":" option("retries")
	sub(/.* CMD \[/, "")
	return "{\"Test\":[\"CMD\"," $0 "," times "}"
}

/^FROM/ { out = env = labels = "" }
/^ENV/ { env = add(env, "\"" rest() "\"") }
/^LABEL/ { labels = add(labels, pair(rest())) }
/^USER/ { out = add(out, "\"User\":\"" rest() "\"") }
/^STOPSIGNAL/ { out = add(out, "\"StopSignal\":\"" rest() "\"") }
/^ENTRYPOINT/ { out = add(out, "\"Entrypoint\":" rest()) }
/^CMD/ { out = add(out, "\"Cmd\":" rest()) }
/^EXPOSE/ { n = split(rest(), words, / +/); out = add(out, "\"ExposedPorts\":" set_of(n, words)) }
/^VOLUME/ { n = split(rest(), words, /,/); out = add(out, "\"Volumes\":" set_of(n, words)) }
/^HEALTHCHECK/ { out = add(out, "\"Healthcheck\":" health()) }
END { print "{" out ",\"Env\":[" env "],\"Labels\":{" labels "}}" }
