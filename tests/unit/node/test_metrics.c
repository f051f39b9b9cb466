/* SPDX-License-Identifier: MIT
 *
 * The page of metrics over a device without ports: its names and types against a golden file, and
 * that it is well-formed whatever peers are called.
 */
#include "node/metrics.h"

#include <stdlib.h>
#include <time.h>

#include "node/device_impl.h"
#include "node_sim.h"
#include "tt_test.h"

#define GOLDEN "tests/golden/metrics-node.txt"

static struct node_sim sim;
static struct node_control_about about;

static void describe(void *ctx, struct node_control_about *out)
{
	(void)ctx;
	*out = about;
}

static struct node_control_ops ops = {.describe = describe};
static struct node_metrics_options opt = {.ops = &ops, .per_peer = true};

static void open_sim(void)
{
	node_sim_open(&sim);
	ops.device = sim.device;
	opt.per_peer = true;
	about = (struct node_control_about){.version = "test",
					    .mode = "config",
					    .aead = "libsodium",
					    .poll = "adaptive",
					    .mtu = 1420};
}

/* As a string; the caller's to free. */
static char *page(void)
{
	struct tt_text t = tt_text_init(realloc, 64 << 20);

	node_metrics_write(&opt, &t);
	tt_text_add(&t, "", 1);
	CU_ASSERT_FATAL(!t.full);
	return t.buf;
}

static struct node_peer *add_peer(unsigned n, const char *name)
{
	uint8_t key[WG_KEY_LEN] = {(uint8_t)n, (uint8_t)(n >> 8), 1};
	struct node_peer *p = NULL;

	CU_ASSERT_EQUAL_FATAL(node_device_add_peer(sim.device, key, &p), 0);
	if (name)
		node_peer_set_name(p, name);
	return p;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
		n++;
	return n;
}

/* --- names and types -------------------------------------------------------------------------- */

/* "NAME TYPE" of every family, in the page's order. */
static char *families_of(const char *text)
{
	struct tt_text out = tt_text_init(realloc, 1 << 20);

	for (const char *at = text; (at = strstr(at, "# TYPE ")); at++) {
		at += strlen("# TYPE ");
		tt_text_add(&out, at, strcspn(at, "\n") + 1);
	}
	tt_text_add(&out, "", 1);
	return out.buf;
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 65536);

	if (f) {
		text[fread(text, 1, 65535, f)] = 0;
		fclose(f);
	}
	return text;
}

static void golden(void)
{
	open_sim();
	add_peer(1, "office");
	char *text = page(), *got = families_of(text), *want = read_file(GOLDEN);

	if (getenv("TALTUN_GOLDEN_WRITE")) {
		FILE *f = fopen(GOLDEN, "w");
		fputs(got, f);
		fclose(f);
	} else if (strcmp(got, want) != 0) {
		CU_FAIL("the names have changed: TALTUN_GOLDEN_WRITE=1 writes " GOLDEN
			" anew; docs/operations.md, docs/grafana and the alerts need them too");
	}
	free(text);
	free(got);
	free(want);
	node_sim_close(&sim);
}

/* --- form ------------------------------------------------------------------------------------- */

static bool name_char(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* name{labels} value, of the family announced last. */
static bool sample_is_valid(const char *line, const char *family)
{
	size_t n = strlen(family);
	const char *at = line;
	bool quoted = false;

	if (strncmp(line, family, n) != 0)
		return false;
	while (name_char(*at))
		at++;
	if (*at == '{') {
		for (at++; *at && (quoted || *at != '}'); at++) {
			if (quoted && *at == '\\')
				at++;
			else if (*at == '"')
				quoted = !quoted;
		}
		if (*at++ != '}')
			return false;
	}
	if (*at++ != ' ')
		return false;
	return *at && at[strspn(at, "0123456789.-")] == 0;
}

static unsigned bad_lines(char *text)
{
	char family[128] = "", *save = NULL;
	unsigned bad = 0;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "# TYPE %127s", family) == 1 || strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (sample_is_valid(line, family))
			continue;
		printf("  bad line: %s\n", line);
		bad++;
	}
	return bad;
}

static void form(void)
{
	open_sim();
	add_peer(1, "office");
	add_peer(2, "a\"b\\c\nd{}");
	add_peer(3, "b\xc3\xbcro \xff\x01");
	add_peer(4, NULL);
	add_peer(5, "office"); /* names need not be unique: keys are */
	char *text = page();
	CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_sent_bytes_total{"), 5);
	/* there is no [gateway] */
	CU_ASSERT_EQUAL(count(text, "\ntaltun_firewall_"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "peer=\"a\\\"b\\\\c\\nd{}\",public_key=\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "peer=\"b\xc3\xbcro ??\""));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "{peer=\"BAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",public_key="));
	CU_ASSERT_EQUAL(count(text, "# TYPE taltun_peer_sent_bytes_total "), 1);
	CU_ASSERT_EQUAL(bad_lines(text), 0);
	free(text);
	node_sim_close(&sim);
}

/* --- values ----------------------------------------------------------------------------------- */

static void values(void)
{
	open_sim();
	struct node_peer *p = add_peer(1, "office");
	add_peer(2, NULL);
	atomic_store(&p->dp->tx_bytes, 12345);
	p->handshake_rtt_us = 2500;
	p->wg->last_handshake.sec = 1;
	sim.device->drops[TT_DROP_DATA_REPLAY] = 7;
	sim.device->drops[TT_DROP_DATA_OLD] = 2;
	tt_histogram_add(&sim.device->handshakes.duration, node_handshake_bounds_ns,
			 NODE_HANDSHAKE_BOUNDS, 3 * TT_NS_PER_MS);
	sim.device->handshakes.completed = 4;
	about.restarts = 3;
	about.hung = 1;
	about.firewall = "missing";
	about.firewall_restored = 5;
	about.not_kept = 6;
	char *text = page();
	static const char *const want[] = {
		"\ntaltun_peers{status=\"never\"} 2\n",
		"\ntaltun_sessions_active 0\n",
		"\ntaltun_replayed_packets_total 9\n",
		"\ntaltun_dropped_packets_total{reason=\"data_replayed\"} 7\n",
		"\ntaltun_handshakes_total 4\n",
		"\ntaltun_handshake_duration_seconds_bucket{le=\"0.0025\"} 0\n",
		"\ntaltun_handshake_duration_seconds_bucket{le=\"0.005\"} 1\n",
		"\ntaltun_handshake_duration_seconds_sum 0.003\n",
		"\ntaltun_engine_restarts_total 3\n",
		"\ntaltun_worker_hung{worker=\"0\"} 1\n",
		"\ntaltun_interface_mtu_bytes 1420\n",
		"\ntaltun_firewall_state{state=\"on\"} 0\n",
		"\ntaltun_firewall_state{state=\"missing\"} 1\n",
		"\ntaltun_firewall_restored_total 5\n",
		"\ntaltun_state_write_failures_total 6\n",
	};
	for (unsigned i = 0; i < TT_ARRAY_LEN(want); i++)
		if (!strstr(text, want[i])) {
			printf("  missing:%s", want[i]);
			CU_FAIL("a value is missing");
		}
	CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_handshake_age_seconds{"), 1);
	CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_rtt_seconds{"), 1);
	CU_ASSERT_EQUAL(count(text, "} 0.0025\n"), 1);
	CU_ASSERT_EQUAL(count(text, "=\"} 12345\n"), 1);
	/* none has an endpoint */
	CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_path_info{"), 0);
	free(text);

	opt.per_peer = false;
	text = page();
	CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_"), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntaltun_peers{status=\"never\"} 2\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntaltun_peers_without_series 0\n"));
	free(text);
	node_sim_close(&sim);
}

static void readiness(void)
{
	struct tt_text t = tt_text_init(realloc, 100);

	open_sim();
	node_device_set_up(sim.device, false);
	CU_ASSERT(!node_metrics_ready(&opt, &t));
	CU_ASSERT_EQUAL(strncmp(t.buf, "the interface is down\n", t.len), 0);
	node_device_set_up(sim.device, true);
	t.len = 0;
	CU_ASSERT(node_metrics_ready(&opt, &t));
	about.hung = 2;
	CU_ASSERT(!node_metrics_ready(&opt, &t));
	free(t.buf);
	node_sim_close(&sim);
}

/* --- many peers ------------------------------------------------------------------------------- */

/* Of the processor: how long the machine lets us wait says nothing. */
static uint64_t used_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void many_peers(void)
{
	static const unsigned steps[] = {1000, NODE_METRICS_PEERS_MAX,
					 NODE_METRICS_PEERS_MAX + 904};
	unsigned n = 0;

	open_sim();
	for (unsigned s = 0; s < TT_ARRAY_LEN(steps); s++) {
		char name[32];
		while (n < steps[s]) {
			snprintf(name, sizeof(name), "peer-%u", n);
			struct node_peer *p = add_peer(++n, name);
			/* so that it has every series */
			p->dest.to = (struct tt_endpoint){tt_ip_v4_host(0x0a000001), 51820, 0};
			p->handshake_rtt_us = 1234 + n;
			p->wg->last_handshake.sec = 1700000000;
			atomic_store(&p->dp->tx_bytes, UINT64_C(123456789012));
		}
		uint64_t best = UINT64_MAX, began;
		char *text = NULL;
		for (unsigned i = 0; i < 3; i++) {
			free(text);
			began = used_us();
			text = page();
			best = TT_MIN(best, used_us() - began);
		}
		printf("  %u peers: %zu KB in %.1f ms\n", n, strlen(text) / 1024,
		       (double)best / 1e3);
		/* a loose bound, for sanitizers */
		CU_ASSERT(best < 1000000);
		CU_ASSERT_EQUAL(count(text, "\ntaltun_peer_sent_bytes_total{"),
				TT_MIN(n, (unsigned)NODE_METRICS_PEERS_MAX));
		free(text);
	}
	char *text = page();
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntaltun_peers_without_series 904\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntaltun_peers{status=\"never\"} 5000\n"));
	free(text);
	node_sim_close(&sim);
}

TT_TESTS("metrics", {"names and types", golden}, {"form", form}, {"values", values},
	 {"readiness", readiness}, {"many peers", many_peers})
