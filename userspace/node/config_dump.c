/* SPDX-License-Identifier: MIT */
#include "node/config.h"

static const char *set_or_none(bool set)
{
	return set ? "(set)" : "(none)";
}

static const char *true_or_false(bool b)
{
	return b ? "true" : "false";
}

static void dump_number(FILE *out, const char *key, uint32_t number, const char *zero)
{
	if (number == 0 && zero)
		fprintf(out, "%s = %s\n", key, zero);
	else
		fprintf(out, "%s = %u\n", key, number);
}

static void dump_cidrs(const struct node_config *cfg, FILE *out, const char *key,
		       struct node_config_range r)
{
	char text[TT_CIDR_TEXT_MAX];

	for (uint32_t i = 0; i < r.count; i++)
		fprintf(out, "%s = %s\n", key, tt_cidr_format(node_config_cidr(cfg, r, i), text));
}

static void dump_lines(const struct node_config *cfg, FILE *out, const char *key,
		       struct node_config_range r)
{
	for (uint32_t i = 0; i < r.count; i++)
		fprintf(out, "%s = %s\n", key, node_config_line(cfg, r, i));
}

static void dump_interface(const struct node_config *cfg, FILE *out)
{
	char text[TT_IP_TEXT_MAX];

	fprintf(out, "interface.name = %s\n", cfg->name);
	fprintf(out, "interface.private_key = %s\n", set_or_none(cfg->has_private_key));
	dump_cidrs(cfg, out, "interface.address", cfg->addresses);
	dump_number(out, "interface.listen_port", cfg->listen_port, "any");
	dump_number(out, "interface.mtu", cfg->mtu, "auto");
	fprintf(out, "interface.routes = %s\n", node_routes_name(cfg->routes_mode));
	dump_cidrs(cfg, out, "interface.routes", cfg->routes);
	dump_number(out, "interface.fwmark", cfg->fwmark, NULL);
	dump_number(out, "interface.table", cfg->table, "auto");
	for (uint32_t i = 0; i < cfg->dns.count; i++)
		fprintf(out, "interface.dns = %s\n", tt_ip_format(node_config_dns(cfg, i), text));
	dump_lines(cfg, out, "interface.dns_search", cfg->dns_search);
	for (int i = 0; i < NODE_HOOK_COUNT; i++) {
		char key[32];
		snprintf(key, sizeof(key), "interface.%s", node_hook_name((enum node_hook)i));
		dump_lines(cfg, out, key, cfg->hooks[i]);
	}
	fprintf(out, "interface.save_config = %s\n", true_or_false(cfg->save_config));
}

static void dump_datapath(const struct node_config *cfg, FILE *out)
{
	fprintf(out, "datapath.mode = %s\n", node_datapath_mode_name(cfg->mode));
	dump_lines(cfg, out, "datapath.interfaces", cfg->interfaces);
	dump_number(out, "datapath.queues", cfg->queues, "auto");
	dump_number(out, "datapath.umem_mb", cfg->umem_mb ? cfg->umem_mb : NODE_CONFIG_UMEM_MB,
		    NULL);
	fprintf(out, "datapath.unknown_index = %s\n", node_unknown_index_name(cfg->unknown_index));
	dump_number(out, "datapath.workers", cfg->workers, "auto");
	fprintf(out, "datapath.poll = %s\n", node_poll_name(cfg->poll));
	fprintf(out, "datapath.aead = %s\n", node_aead_name(cfg->aead));
	fprintf(out, "datapath.forward_between_peers = %s\n",
		true_or_false(cfg->forward_between_peers));
}

static void dump_metrics(const struct node_config *cfg, FILE *out)
{
	const struct node_config_metrics *m = &cfg->metrics;
	char text[TT_ENDPOINT_TEXT_MAX];

	if (!node_config_has_metrics(m))
		return;
	if (m->path[0])
		fprintf(out, "metrics.listen = unix:%s\n", m->path);
	else
		fprintf(out, "metrics.listen = %s\n", tt_endpoint_format(&m->address, text));
	fprintf(out, "metrics.per_peer = %s\n", true_or_false(m->per_peer));
}

static void dump_hub(const struct node_config *cfg, FILE *out)
{
	const struct node_config_hub *h = &cfg->hub;

	if (!h->given)
		return;
	fprintf(out, "hub.server = %s port %u\n", node_config_str(cfg, h->host), h->tcp_port);
	fprintf(out, "hub.name = %s\n", node_config_str(cfg, h->name));
	fprintf(out, "hub.certificate_file = %s\n", node_config_str(cfg, h->certificate_file));
	fprintf(out, "hub.key_file = %s\n", node_config_str(cfg, h->key_file));
	fprintf(out, "hub.ca_file = %s\n", node_config_str(cfg, h->ca_file));
	dump_cidrs(cfg, out, "hub.accept", h->accept);
	dump_cidrs(cfg, out, "hub.networks", h->networks);
}

static void dump_gateway(const struct node_config *cfg, FILE *out)
{
	const struct node_config_gateway *g = &cfg->gateway;

	if (!g->given)
		return;
	fprintf(out, "gateway.firewall = %s\n", node_firewall_mode_name(g->firewall));
	fprintf(out, "gateway.ip_forward = %s\n", true_or_false(g->ip_forward));
	dump_lines(cfg, out, "gateway.masquerade", g->masquerade);
	if (!g->has_subnets)
		fprintf(out, "gateway.subnets = (not given)\n");
	else if (!g->subnets.count)
		fprintf(out, "gateway.subnets = (none)\n");
	dump_cidrs(cfg, out, "gateway.subnets", g->subnets);
}

static void dump_peer(const struct node_config *cfg, FILE *out, const struct node_config_peer *p)
{
	char key[TT_KEY_B64_LEN + 1], text[TT_ENDPOINT_TEXT_MAX];

	tt_key_to_b64(p->public_key, key);
	fprintf(out, "peer %s\n", key);
	fprintf(out, "  name = %s\n", p->name.len ? node_config_str(cfg, p->name) : "(none)");
	fprintf(out, "  preshared_key = %s\n", set_or_none(p->has_preshared_key));
	if (tt_endpoint_is_set(&p->endpoint))
		fprintf(out, "  endpoint = %s\n", tt_endpoint_format(&p->endpoint, text));
	else if (p->host.len)
		fprintf(out, "  endpoint = %s port %u (name)\n", node_config_str(cfg, p->host),
			p->udp_port);
	else
		fprintf(out, "  endpoint = (none)\n");
	if (!p->roaming)
		fprintf(out, "  roaming = false\n");
	dump_cidrs(cfg, out, "  allowed_ips", p->allowed_ips);
	dump_number(out, "  keepalive", p->keepalive, "off");
}

void node_config_dump(const struct node_config *cfg, FILE *out)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};

	dump_interface(cfg, out);
	dump_datapath(cfg, out);
	fprintf(out, "log.level = %s\n", levels[cfg->log_level & 3]);
	fprintf(out, "log.format = %s\n", cfg->log_format == TT_LOG_JSON ? "json" : "logfmt");
	dump_metrics(cfg, out);
	dump_hub(cfg, out);
	dump_gateway(cfg, out);
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		dump_peer(cfg, out, node_config_peer(cfg, i));
}
