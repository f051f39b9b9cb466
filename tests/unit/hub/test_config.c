/* SPDX-License-Identifier: MIT */
#include "hub/config.h"

#include <errno.h>
#include <unistd.h>

#include "base/log.h"
#include "hub/server_impl.h"
#include "tt_test.h"

static char path[64];
static char error[HUB_CONFIG_ERROR_MAX];

static int load(const char *text, struct hub_config *c)
{
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/tt-hub-config.%d", (int)getpid());
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	int err = hub_config_load(path, c, error);
	unlink(path);
	return err;
}

static void defaults(void)
{
	struct hub_config c;

	CU_ASSERT_EQUAL(hub_config_load("/nonexistent/hub.toml", &c, error), 0);
	CU_ASSERT_EQUAL(c.stun_udp_port, 3478);
	CU_ASSERT_EQUAL(c.node_cert_days, 30);
	CU_ASSERT_EQUAL(c.limits.connections, hub_conn_limits_default.connections);
	CU_ASSERT_EQUAL(load("", &c), 0);
	CU_ASSERT_EQUAL(c.listen_count, 0);
}

static bool metrics_refused(const char *value)
{
	struct hub_config c;
	char text[256];

	snprintf(text, sizeof(text), "[metrics]\nlisten = %s\n", value);
	return load(text, &c) == -EINVAL && strstr(error, ":2:10: ");
}

static void metrics(void)
{
	char text[TT_ENDPOINT_TEXT_MAX], path_of_unix[160];
	struct hub_config c;

	CU_ASSERT_EQUAL(load("", &c), 0);
	CU_ASSERT(c.metrics_at.udp_port == 0 && c.metrics_path[0] == 0);
	CU_ASSERT_EQUAL(load("[metrics]\nlisten = \"[::1]:9587\"\n", &c), 0);
	CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&c.metrics_at, text), "[::1]:9587");
	CU_ASSERT_EQUAL(load("[metrics]\nlisten = \"unix:/run/x.sock\"\n", &c), 0);
	CU_ASSERT_STRING_EQUAL(c.metrics_path, "/run/x.sock");
	CU_ASSERT_EQUAL(c.metrics_at.udp_port, 0);
	CU_ASSERT_EQUAL(load("[metrics]\nlisten = \"off\"\n", &c), 0);
	CU_ASSERT(c.metrics_at.udp_port == 0 && c.metrics_path[0] == 0);
	static const char *const bad[] = {"\"\"",
					  "\"on\"",
					  "9587",
					  "\"127.0.0.1\"",
					  "\"127.0.0.1:0\"",
					  "\"host:9587\"",
					  "\"unix:\"",
					  "\"unix:x.sock\"",
					  "[\"127.0.0.1:1\"]",
					  "\"unix:/a\\u0000b\""};
	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++)
		CU_ASSERT_TRUE(metrics_refused(bad[i]));
	snprintf(path_of_unix, sizeof(path_of_unix), "\"unix:/%0120d\"", 0);
	CU_ASSERT_TRUE(metrics_refused(path_of_unix));
}

static void values(void)
{
	struct hub_config c;
	char text[TT_ENDPOINT_TEXT_MAX];

	CU_ASSERT_EQUAL(
		load("[hub]\nlisten = [\"0.0.0.0:8443\", \"[::]:8443\"]\nuser = \"hub\"\n"
		     "certificate_days = 7\n[stun]\nudp_port = 0\n[relay]\nudp_port = 4000\n"
		     "public = [\"203.0.113.5:4000\"]\ntcp_mbit_per_node = 8\n"
		     "udp_pairs_per_node = 7\n[limits]\n"
		     "connections = 10\nrelay_mib = 4095\ncontrol_kib = 512\n[log]\n"
		     "level = \"debug\"\nformat = \"json\"\n",
		     &c),
		0);
	CU_ASSERT_EQUAL(c.listen_count, 2);
	CU_ASSERT_STRING_EQUAL(tt_endpoint_format(&c.listen[1], text), "[::]:8443");
	CU_ASSERT_STRING_EQUAL(c.user, "hub");
	CU_ASSERT_EQUAL(c.node_cert_days, 7);
	CU_ASSERT_EQUAL(c.stun_udp_port, 0);
	CU_ASSERT_EQUAL(c.relay_udp_port, 4000);
	CU_ASSERT_EQUAL(c.relay_at_count, 1);
	CU_ASSERT_EQUAL(c.relay_tcp_bytes_per_s, 1000000);
	CU_ASSERT_EQUAL(c.relay_udp_pairs, 7);
	CU_ASSERT_EQUAL(c.limits.connections, 10);
	CU_ASSERT_EQUAL(c.limits.packet_bytes, 4095u * 1024 * 1024);
	CU_ASSERT_EQUAL(c.limits.control_bytes, 512u * 1024);
	CU_ASSERT_EQUAL(c.log_level, TT_LOG_DEBUG);
	CU_ASSERT_EQUAL(c.log_format, TT_LOG_JSON);
}

/* What is wrong, and the end of what is said behind the name of the file. */
static void refusals(void)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"x = 1\n", ":1:1: key \"x\" stands outside of a section"},
		{"[hub]\nport = 3\n", ":2:1: unknown key \"port\" in [hub]"},
		{"[hub]\nudp_port = 3\n",
		 ":2:1: unknown key \"udp_port\" in [hub]; it belongs in [stun] or [relay]"},
		{"[hub]\nlisten_at = []\n",
		 ":2:1: unknown key \"listen_at\" in [hub]; did you mean \"listen\"?"},
		{"[relay]\nudp_mbits_per_node = 8\n",
		 ":2:1: unknown key \"udp_mbits_per_node\" in [relay]; did you mean "
		 "\"udp_mbit_per_node\"?"},
		{"[log]\nLevel = \"info\"\n",
		 ":2:1: unknown key \"Level\" in [log]; did you mean \"level\"?"},
		{"user = \"x\"\n",
		 ":1:1: key \"user\" stands outside of a section; it belongs in [hub]"},
		{"[limit]\n", ":1:2: unknown section [limit]; did you mean [limits]?"},
		{"[mesh]\n", ":1:2: unknown section [mesh]; expected [hub], [stun], [relay], "
			     "[limits], [metrics] or [log]"},
		{"[hub]\nlisten = \"0.0.0.0:1\"\n", ":2:10: expected a list of \"ADDRESS:PORT\""},
		{"[hub]\nlisten = [\"0.0.0.0\"]\n",
		 ":2:11: expected \"ADDRESS:PORT\", IPv6 in brackets: \"0.0.0.0:443\", "
		 "\"[::]:443\""},
		{"[hub]\ncertificate_days = 91\n",
		 ":2:20: certificate_days must be a number from 1 to 90"},
		{"[stun]\nudp_port = 65536\n", ":2:12: udp_port must be a number from 0 to 65535"},
		{"[stun]\nudp_port = -1\n", ":2:12: udp_port must be a number from 0 to 65535"},
		{"[limits]\nsilent_ms = 9223372036854775807\n",
		 ":2:13: silent_ms must be a number from 1000 to 3600000"},
		{"[limits]\nsilent_ms = 1e4\n",
		 ":2:13: silent_ms must be a number from 1000 to 3600000"},
		{"[log]\nlevel = \"loud\"\n",
		 ":2:9: level must be one of \"error\", \"warn\", \"info\", \"debug\""},
		{"[hub]\nuser = \"\"\n", ":2:8: user must be the name of a user"},
		{"hub = 3\n", ":1:1: write [hub] as a section"},
	};
	struct hub_config c;

	for (size_t i = 0; i < TT_ARRAY_LEN(bad); i++) {
		CU_ASSERT_EQUAL(load(bad[i].text, &c), -EINVAL);
		size_t head = strlen(path);
		CU_ASSERT(strncmp(error, path, head) == 0);
		if (strcmp(error + head, bad[i].says) != 0)
			printf("  said \"%s\"\n  not  \"%s\"\n", error + head, bad[i].says);
		CU_ASSERT_STRING_EQUAL(error + head, bad[i].says);
	}
	CU_ASSERT_EQUAL(load("[hub\n", &c), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(error, ":1:5: "));
}

static void paths(void)
{
	struct hub_paths p;
	char longest[HUB_PATH_MAX + 1];

	CU_ASSERT_TRUE(hub_paths_make(NULL, &p));
	CU_ASSERT_STRING_EQUAL(p.config, "/etc/taltun/hub.toml");
	CU_ASSERT_STRING_EQUAL(p.ca_key, "/var/lib/taltun-hub/ca.key");
	CU_ASSERT_TRUE(hub_paths_make("/x", &p));
	CU_ASSERT_STRING_EQUAL(p.config, "/x/hub.toml");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	CU_ASSERT_FALSE(hub_paths_make(longest, &p));
}

/* Over a long time neither more nor less than the rate. */
static void bucket(void)
{
	struct hub_bucket b = {0};
	struct tt_mono now = {TT_NS_PER_SEC};
	unsigned taken = 0;

	while (hub_bucket_take(&b, 1, 50, 200, now))
		taken++;
	CU_ASSERT_EQUAL(taken, 200);
	for (unsigned ms = 0; ms < 10000; ms++) {
		now = tt_mono_add_ns(now, TT_NS_PER_MS);
		taken += hub_bucket_take(&b, 1, 50, 200, now);
	}
	CU_ASSERT(taken >= 690 && taken <= 700);
	now = tt_mono_add_ns(now, UINT64_C(1000000) * TT_NS_PER_SEC);
	taken = 0;
	while (hub_bucket_take(&b, 1, 50, 200, now))
		taken++;
	CU_ASSERT_EQUAL(taken, 200);
	CU_ASSERT_FALSE(hub_bucket_take(&b, 201, 50, 200, tt_mono_add_ns(now, TT_NS_PER_SEC)));
}

/* What is taken from a bucket of this rate in 1000 s by whoever always wants more and asks at this
 * interval. */
static uint64_t taken_by(uint64_t rate, uint64_t ask_ns)
{
	struct hub_bucket b = {0};
	uint64_t taken = 0;

	for (uint64_t ns = 1; ns < 1000 * TT_NS_PER_SEC; ns += ask_ns)
		while (hub_bucket_take(&b, 1, rate, 5, (struct tt_mono){ns}))
			taken++;
	return taken;
}

/* However unlucky the moments are at which it is asked. */
static void bucket_at_any_time(void)
{
	CU_ASSERT(taken_by(20, 99 * TT_NS_PER_MS) >= 19900);
	CU_ASSERT(taken_by(20, 99 * TT_NS_PER_MS) <= 20005);
	CU_ASSERT(taken_by(3, 400 * TT_NS_PER_MS) >= 2985);
	CU_ASSERT(taken_by(3, 400 * TT_NS_PER_MS) <= 3005);
	/* between two whole milliseconds */
	CU_ASSERT(taken_by(1000, 1900 * TT_NS_PER_US) >= 995000);
	CU_ASSERT(taken_by(1, 1999 * TT_NS_PER_MS) >= 995);
}

TT_TESTS("hub_config", {"defaults", defaults}, {"values", values}, {"metrics", metrics},
	 {"refusals", refusals}, {"paths", paths}, {"token bucket", bucket},
	 {"token bucket at any time", bucket_at_any_time})
