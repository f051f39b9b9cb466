/* SPDX-License-Identifier: MIT
 *
 * The configuration protocol: any text as the lines of a set, then the whole get. Whatever is
 * accepted must come back in a form that is accepted again and gives the same get.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "node/uapi.h"
#include "node_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t render(struct node_device *d, char *buf, size_t cap)
{
	struct node_uapi_get g;
	size_t len = 0, n;

	node_uapi_get_begin(&g, d);
	while (cap - len > NODE_UAPI_PIECE_MIN &&
	       (n = node_uapi_get_piece(&g, buf + len, NODE_UAPI_PIECE_MIN)) > 0)
		len += n;
	buf[len] = 0;
	return len;
}

static void apply(struct node_device *d, const char *text, size_t len)
{
	struct node_uapi_set s;
	char line[NODE_UAPI_LINE_MAX];

	node_uapi_set_begin(&s, d);
	for (const char *p = text, *end = text + len; p < end;) {
		const char *eol = memchr(p, '\n', (size_t)(end - p));
		size_t n = (size_t)((eol ? eol : end) - p);
		if (n < sizeof(line)) {
			memcpy(line, p, n);
			line[n] = 0;
			node_uapi_set_line(&s, line);
		}
		p += n + 1;
	}
	node_uapi_set_end(&s);
}

/* Facts are not settings: drop them before feeding a get back. */
static size_t settings_only(char *text)
{
	static const char *const facts[] = {"last_handshake_time_", "tx_bytes=", "rx_bytes="};
	char *out = text;

	for (char *p = text, *eol; (eol = strchr(p, '\n')); p = eol + 1) {
		bool fact = false;
		for (size_t i = 0; i < TT_ARRAY_LEN(facts); i++)
			fact |= strncmp(p, facts[i], strlen(facts[i])) == 0;
		if (!fact) {
			memmove(out, p, (size_t)(eol + 1 - p));
			out += eol + 1 - p;
		}
	}
	*out = 0;
	return (size_t)(out - text);
}

static struct node_sim sim;

/* Its tables hang on locked memory, where a leak checker does not look for pointers. */
static void close_sim(void)
{
	node_sim_close(&sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[1 << 20], second[1 << 20];

	if (!sim.device) {
		tt_log_setup(TT_LOG_ERROR, TT_LOG_LOGFMT, 2);
		node_sim_open(&sim);
		atexit(close_sim);
	}
	if (size > 16384)
		return 0;
	apply(sim.device, (const char *)data, size);
	size_t len = render(sim.device, first, sizeof(first));
	static const char wipe[] = "replace_peers=true\n";
	len = settings_only(first);
	apply(sim.device, wipe, sizeof(wipe) - 1);
	apply(sim.device, first, len);
	render(sim.device, second, sizeof(second));
	settings_only(second);
	if (strcmp(first, second) != 0)
		abort();
	static const char reset[] =
		"private_key=0000000000000000000000000000000000000000000000000000"
		"000000000000\nfwmark=0\nreplace_peers=true\n";
	apply(sim.device, reset, sizeof(reset) - 1);
	return 0;
}
