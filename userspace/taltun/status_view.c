/* SPDX-License-Identifier: MIT */
#include "taltun/status_view.h"

#include <stdio.h>
#include <string.h>

#include "cli/printable.h"
#include "cli/wrap.h"
#include "taltun/json_get.h"
#include "taltun/peers_view.h"

#define LINE_BYTES    2048
#define ALLOWED_SHOWN 8

struct text {
	char buf[LINE_BYTES];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...);

static void add(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->buf + t->len, sizeof(t->buf) - t->len, format, ap);
	va_end(ap);
	if (n > 0)
		t->len = t->len + (size_t)n < sizeof(t->buf) ? t->len + (size_t)n
							     : sizeof(t->buf) - 1;
}

/* Text of others, made printable. */
static void add_text(struct text *t, const char *before, const char *text, const char *after)
{
	char safe[512];

	add(t, "%s%s%s", before, cli_printable(safe, sizeof(safe), text), after);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* --- the interface ------------------------------------------------------------------------------
 */

/* "  eth0         native copy, 2 queues" or "  eth0         socket (link is down)" */
static void print_interface(const json_t *i)
{
	const char *mode = get_str(i, "mode"), *name;
	size_t queues = json_array_size(json_object_get(i, "queues"));
	json_t *value;

	if (strcmp(mode, "socket") == 0)
		cli_fact(get_str(i, "interface"), "socket (%s)", get_str(i, "reason"));
	else
		cli_fact(get_str(i, "interface"), "%s, %zu queue%s of %lld", mode, queues,
			 plural(queues), get_num(i, "nic_queues"));
	json_object_foreach(json_object_get(i, "refused"), name, value)
	{
		const char *why = json_string_value(value);
		char head[64];

		if (!why || strcmp(why, get_str(i, "reason")) == 0)
			continue;
		snprintf(head, sizeof(head), "  no %s", name);
		cli_fact(head, "%s", why);
	}
}

static void print_datapath(const json_t *d)
{
	size_t workers = json_array_size(json_object_get(d, "workers")), i;
	json_t *one;

	cli_fact("data path", "%s, %s, %zu worker%s, %s%s%s%s", get_str(d, "mode"),
		 get_str(d, "aead"), workers, plural(workers), get_str(d, "poll"),
		 get_flag(d, "udp_gso") ? ", GSO" : "", get_flag(d, "udp_gro") ? ", GRO" : "",
		 get_flag(d, "tun_vnet_hdr") ? ", TUN offloads" : "");
	json_array_foreach(json_object_get(d, "interfaces"), i, one) print_interface(one);
}

static void print_hub(const json_t *h)
{
	const char *state = get_str(h, "state"), *v4 = get_str(h, "reflexive_v4"),
		   *v6 = get_str(h, "reflexive_v6");
	bool up = strcmp(state, "up") == 0;
	struct text t = {.len = 0};

	if (!json_is_object(h))
		return;
	add_text(&t, "", get_str(h, "host"), ", ");
	add(&t, "%s%s%s", cli_colour(up ? CLI_GREEN : CLI_YELLOW), state, cli_colour(CLI_PLAIN));
	if (up && get_num(h, "rtt_us"))
		add(&t, ", RTT %.1f ms", get_real(h, "rtt_us") / 1000.0);
	if (!up && *get_str(h, "why"))
		add_text(&t, " (", get_str(h, "why"), ")");
	if (*get_str(h, "name"))
		add_text(&t, "; this node is ", get_str(h, "name"), "");
	cli_fact("hub", "%s", t.buf);
	if (*v4 || *v6)
		cli_fact("seen from", "%s%s%s", v4, *v4 && *v6 ? ", " : "", v6);
}

static void print_gateway(const json_t *g)
{
	const char *is = get_str(g, "firewall");
	long long times = get_num(g, "firewall_restored");
	struct text t = {.len = 0};

	if (!json_is_object(g))
		return;
	add(&t, "%s%s%s", strcmp(is, "missing") == 0 ? cli_colour(CLI_RED) : "", is,
	    cli_colour(CLI_PLAIN));
	if (strcmp(is, "missing") == 0)
		add(&t, ", the log says why");
	if (times)
		add(&t, ", put back %lld time%s: others change it", times, plural((size_t)times));
	cli_fact("firewall", "%s", t.buf);
}

static void print_drops(const json_t *drops)
{
	struct text t = {.len = 0};
	const char *reason;
	json_t *value;

	json_object_foreach((json_t *)drops, reason, value) add(
		&t, "%s%s %lld", t.len ? ", " : "", reason, (long long)json_integer_value(value));
	if (t.len)
		cli_fact("drops", "%s", t.buf);
}

void status_view_head(const json_t *s)
{
	char up[CLI_NUMBER_MAX], name[64];

	printf("%sinterface%s %s%s%s (%s)\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       cli_colour(CLI_GREEN), cli_printable(name, sizeof(name), get_str(s, "interface")),
	       cli_colour(CLI_PLAIN), get_flag(s, "up") ? "up" : "down");
	cli_fact("public key", "%s",
		 *get_str(s, "public_key") ? get_str(s, "public_key") : "(none)");
	cli_fact("listen port", "%lld", get_num(s, "listen_port"));
	cli_fact("MTU", "%lld", get_num(s, "mtu"));
	print_datapath(json_object_get(s, "datapath"));
	cli_fact("running for", "%s%s", cli_duration(up, (long long)get_real(s, "uptime_s")),
		 get_num(s, "restarts") ? " (restarted after a crash; see the log)" : "");
	print_hub(json_object_get(s, "hub"));
	print_gateway(json_object_get(s, "gateway"));
	print_drops(json_object_get(s, "drops"));
}

/* --- a peer -------------------------------------------------------------------------------------
 */

static void print_endpoint(const json_t *p)
{
	const char *endpoint = get_str(p, "endpoint"), *host = get_str(p, "host");
	struct text t = {.len = 0};

	if (!*endpoint && !*host)
		return;
	if (*endpoint)
		add(&t, "%s", endpoint);
	if (*host)
		add_text(&t, *endpoint ? " (" : "", host, *endpoint ? ")" : " (not resolved)");
	cli_fact("endpoint", "%s", t.buf);
}

static void print_allowed(const json_t *p)
{
	const json_t *list = json_object_get(p, "allowed_ips");
	size_t n = json_array_size(list);
	struct text t = {.len = 0};

	for (size_t i = 0; i < n && i < ALLOWED_SHOWN; i++)
		add(&t, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
	if (n > ALLOWED_SHOWN)
		add(&t, " and %zu more", n - ALLOWED_SHOWN);
	cli_fact("allowed IPs", "%s", n ? t.buf : "(none)");
}

/* "  path         punched, RTT 12.3 ms, MTU 1380, for 3 minutes" and why it is no better one. */
static void print_path(const json_t *p)
{
	char age[CLI_NUMBER_MAX], why[512];
	struct text t = {.len = 0};

	if (!json_object_get(p, "node_id"))
		return;
	add(&t, "%s", *get_str(p, "path") ? get_str(p, "path") : "none");
	if (get_num(p, "path_rtt_us"))
		add(&t, ", RTT %.1f ms", get_real(p, "path_rtt_us") / 1000.0);
	if (get_num(p, "path_mtu"))
		add(&t, ", MTU %lld", get_num(p, "path_mtu"));
	if (json_is_number(json_object_get(p, "path_since_s")))
		add(&t, ", for %s", cli_duration(age, (long long)get_real(p, "path_since_s")));
	cli_fact("path", "%s", t.buf);
	if (*get_str(p, "why_not_direct"))
		cli_fact("not direct", "%s",
			 cli_printable(why, sizeof(why), get_str(p, "why_not_direct")));
}

static void print_handshake(const json_t *p)
{
	char ago[CLI_NUMBER_MAX], rx[CLI_NUMBER_MAX], tx[CLI_NUMBER_MAX];
	struct text t = {.len = 0};

	add(&t, "%s", cli_ago(ago, get_num(p, "last_handshake")));
	if (get_num(p, "handshake_rtt_us"))
		add(&t, ", took %.1f ms", get_real(p, "handshake_rtt_us") / 1000.0);
	/* the first question of who sets up a tunnel; of the mesh's peers the path tells more */
	if (!get_num(p, "last_handshake") && get_real(p, "tx_bytes") > 0 &&
	    !json_object_get(p, "node_id"))
		add(&t,
		    ": no answer (look at the endpoint, firewalls on the way, both public keys)");
	cli_fact("handshake", "%s", t.buf);
	cli_fact("transfer", "%s received, %s sent", cli_bytes(rx, get_real(p, "rx_bytes")),
		 cli_bytes(tx, get_real(p, "tx_bytes")));
	if (get_num(p, "keepalive"))
		cli_fact("keepalive", "every %lld s", get_num(p, "keepalive"));
}

void status_view_peer(const json_t *p)
{
	const char *status = get_str(p, "status");
	char label[512], state[64];

	printf("\n%speer%s %s  %s%s%s\n", cli_colour(CLI_BOLD), cli_colour(CLI_PLAIN),
	       cli_printable(label, sizeof(label), peers_view_label(p)),
	       cli_colour(peers_view_colour(status)), cli_printable(state, sizeof(state), status),
	       cli_colour(CLI_PLAIN));
	if (*get_str(p, "name"))
		cli_fact("public key", "%s", get_str(p, "public_key"));
	print_endpoint(p);
	print_path(p);
	print_allowed(p);
	print_handshake(p);
}
