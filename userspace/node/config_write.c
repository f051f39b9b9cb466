/* SPDX-License-Identifier: MIT
 *
 * A configuration back as text: TOML (`taltun import`) and wg-quick (SaveConfig).
 */
#include "node/config_wgquick.h"

#include <errno.h>
#include "crypto/mem.h"

static void put_key(FILE *out, const char *name, const uint8_t key[TT_KEY_LEN], const char *quote)
{
	char text[TT_KEY_B64_LEN + 1];

	tt_key_to_b64(key, text);
	fprintf(out, "%s = %s%s%s\n", name, quote, text, quote);
	crypto_wipe(text, sizeof(text));
}

/* --- TOML ------------------------------------------------------------------------------------ */

static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < 32 || *p == 127)
			fprintf(out, "\\u%04X", *p);
		else
			fputc(*p, out);
	}
	fputc('"', out);
}

static void put_pair(FILE *out, const char *key, const char *text)
{
	fprintf(out, "%s = ", key);
	put_string(out, text);
	fputc('\n', out);
}

static void put_number(FILE *out, const char *key, uint32_t number)
{
	if (number)
		fprintf(out, "%s = %u\n", key, number);
}

static void put_cidrs(const struct node_config *cfg, FILE *out, struct node_config_range r)
{
	char text[TT_CIDR_TEXT_MAX];

	for (uint32_t i = 0; i < r.count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "",
			tt_cidr_format(node_config_cidr(cfg, r, i), text));
}

static void put_cidr_list(const struct node_config *cfg, FILE *out, const char *key,
			  struct node_config_range r)
{
	fprintf(out, "%s = [", key);
	put_cidrs(cfg, out, r);
	fputs("]\n", out);
}

static void put_lines(const struct node_config *cfg, FILE *out, const char *key,
		      struct node_config_range r)
{
	if (!r.count)
		return;
	fprintf(out, "%s = [", key);
	for (uint32_t i = 0; i < r.count; i++) {
		fputs(i ? ", " : "", out);
		put_string(out, node_config_line(cfg, r, i));
	}
	fputs("]\n", out);
}

static void put_dns(const struct node_config *cfg, FILE *out)
{
	char text[TT_IP_TEXT_MAX];

	if (cfg->dns.count)
		fputs("dns = [", out);
	for (uint32_t i = 0; i < cfg->dns.count; i++)
		fprintf(out, "%s\"%s\"", i ? ", " : "",
			tt_ip_format(node_config_dns(cfg, i), text));
	if (cfg->dns.count)
		fputs("]\n", out);
	put_lines(cfg, out, "dns_search", cfg->dns_search);
}

static void put_interface(const struct node_config *cfg, FILE *out)
{
	fputs("[interface]\n", out);
	put_pair(out, "name", cfg->name);
	fputs("# Or keep the key in a file of mode 600: private_key_file = "
	      "\"/etc/taltun/NAME.key\"\n",
	      out);
	put_key(out, "private_key", cfg->private_key, "\"");
	if (cfg->addresses.count)
		put_cidr_list(cfg, out, "address", cfg->addresses);
	put_number(out, "listen_port", cfg->listen_port);
	put_number(out, "mtu", cfg->mtu);
	if (cfg->routes_mode == NODE_ROUTES_LIST)
		put_cidr_list(cfg, out, "routes", cfg->routes);
	else
		put_pair(out, "routes", node_routes_name(cfg->routes_mode));
	put_number(out, "fwmark", cfg->fwmark);
	put_number(out, "table", cfg->table);
	put_dns(cfg, out);
	for (int i = 0; i < NODE_HOOK_COUNT; i++)
		put_lines(cfg, out, node_hook_name((enum node_hook)i), cfg->hooks[i]);
	if (cfg->save_config)
		fputs("# SaveConfig = true is left out: a TOML file is never written back.\n", out);
}

static void put_datapath(const struct node_config *cfg, FILE *out)
{
	fputs("\n[datapath]\n", out);
	put_pair(out, "mode", node_datapath_mode_name(cfg->mode));
	put_lines(cfg, out, "interfaces", cfg->interfaces);
	put_number(out, "queues", cfg->queues);
	put_number(out, "umem_mb", cfg->umem_mb);
	put_pair(out, "unknown_index", node_unknown_index_name(cfg->unknown_index));
	put_number(out, "workers", cfg->workers);
	put_pair(out, "poll", node_poll_name(cfg->poll));
	put_pair(out, "aead", node_aead_name(cfg->aead));
	fprintf(out, "forward_between_peers = %s\n", cfg->forward_between_peers ? "true" : "false");
}

static void put_log(const struct node_config *cfg, FILE *out)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};

	fputs("\n[log]\n", out);
	put_pair(out, "level", levels[cfg->log_level & 3]);
	put_pair(out, "format", cfg->log_format == TT_LOG_JSON ? "json" : "logfmt");
}

static void put_metrics(const struct node_config *cfg, FILE *out)
{
	const struct node_config_metrics *m = &cfg->metrics;
	char text[TT_ENDPOINT_TEXT_MAX + NODE_CONFIG_SOCKET_MAX];

	if (!node_config_has_metrics(m) && m->per_peer)
		return;
	fputs("\n[metrics]\n", out);
	if (m->path[0]) {
		snprintf(text, sizeof(text), "unix:%s", m->path);
		put_pair(out, "listen", text);
	} else if (node_config_has_metrics(m)) {
		put_pair(out, "listen", tt_endpoint_format(&m->address, text));
	}
	if (!m->per_peer)
		fputs("per_peer = false\n", out);
}

static void put_hub(const struct node_config *cfg, FILE *out)
{
	const struct node_config_hub *h = &cfg->hub;
	const char *host = node_config_str(cfg, h->host);

	if (!h->given)
		return;
	fprintf(out,
		strchr(host, ':') ? "\n[hub]\nserver = \"[%s]:%u\"\n"
				  : "\n[hub]\nserver = \"%s:%u\"\n",
		host, h->tcp_port);
	put_pair(out, "name", node_config_str(cfg, h->name));
	put_pair(out, "certificate_file", node_config_str(cfg, h->certificate_file));
	put_pair(out, "key_file", node_config_str(cfg, h->key_file));
	put_pair(out, "ca_file", node_config_str(cfg, h->ca_file));
	put_cidr_list(cfg, out, "accept", h->accept);
	put_cidr_list(cfg, out, "networks", h->networks);
}

static void put_gateway(const struct node_config *cfg, FILE *out)
{
	const struct node_config_gateway *g = &cfg->gateway;

	if (!g->given)
		return;
	fputs("\n[gateway]\n", out);
	if (g->firewall != NODE_FIREWALL_AUTO)
		fprintf(out, "firewall = %s\n", node_firewall_mode_name(g->firewall));
	fprintf(out, "ip_forward = %s\n", g->ip_forward ? "true" : "false");
	put_lines(cfg, out, "masquerade", g->masquerade);
	if (g->has_subnets)
		put_cidr_list(cfg, out, "subnets", g->subnets);
}

/* "host:port", "[v6]:port" */
static void put_endpoint(const struct node_config *cfg, FILE *out, const struct node_config_peer *p)
{
	const char *host = node_config_str(cfg, p->host);

	fprintf(out, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, p->udp_port);
}

static void put_peer(const struct node_config *cfg, FILE *out, const struct node_config_peer *p)
{
	fputs("\n[[peer]]\n", out);
	if (p->name.len)
		put_pair(out, "name", node_config_str(cfg, p->name));
	put_key(out, "public_key", p->public_key, "\"");
	if (p->has_preshared_key)
		put_key(out, "preshared_key", p->preshared_key, "\"");
	if (p->host.len) {
		fputs("endpoint = \"", out);
		put_endpoint(cfg, out, p);
		fputs("\"\n", out);
	}
	put_cidr_list(cfg, out, "allowed_ips", p->allowed_ips);
	if (!p->roaming)
		fputs("roaming = false\n", out);
	put_number(out, "keepalive", p->keepalive);
}

int node_config_to_toml(const struct node_config *cfg, FILE *out)
{
	put_interface(cfg, out);
	put_datapath(cfg, out);
	put_log(cfg, out);
	put_metrics(cfg, out);
	put_hub(cfg, out);
	put_gateway(cfg, out);
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		put_peer(cfg, out, node_config_peer(cfg, i));
	return fflush(out) || ferror(out) ? -EIO : 0;
}

/* --- wg-quick -------------------------------------------------------------------------------- */

static void put_ini_number(FILE *out, const char *key, uint32_t number)
{
	if (number)
		fprintf(out, "%s = %u\n", key, number);
}

static void put_ini_cidrs(const struct node_config *cfg, FILE *out, const char *key,
			  struct node_config_range r)
{
	char text[TT_CIDR_TEXT_MAX];

	if (r.count)
		fprintf(out, "%s = ", key);
	for (uint32_t i = 0; i < r.count; i++)
		fprintf(out, "%s%s", i ? ", " : "",
			tt_cidr_format(node_config_cidr(cfg, r, i), text));
	if (r.count)
		fputc('\n', out);
}

static void put_ini_interface(const struct node_config *cfg, FILE *out)
{
	static const char *const hooks[] = {"PreUp", "PostUp", "PreDown", "PostDown"};
	char text[TT_IP_TEXT_MAX];

	fputs("[Interface]\n", out);
	put_ini_cidrs(cfg, out, "Address", cfg->addresses);
	for (uint32_t i = 0; i < cfg->dns.count; i++)
		fprintf(out, "DNS = %s\n", tt_ip_format(node_config_dns(cfg, i), text));
	for (uint32_t i = 0; i < cfg->dns_search.count; i++)
		fprintf(out, "DNS = %s\n", node_config_line(cfg, cfg->dns_search, i));
	put_ini_number(out, "MTU", cfg->mtu);
	if (cfg->routes_mode == NODE_ROUTES_NONE)
		fputs("Table = off\n", out);
	else
		put_ini_number(out, "Table", cfg->table);
	if (cfg->save_config)
		fputs("SaveConfig = true\n", out);
	for (int h = 0; h < NODE_HOOK_COUNT; h++) {
		for (uint32_t i = 0; i < cfg->hooks[h].count; i++)
			fprintf(out, "%s = %s\n", hooks[h],
				node_config_line(cfg, cfg->hooks[h], i));
	}
	put_ini_number(out, "ListenPort", cfg->listen_port);
	put_ini_number(out, "FwMark", cfg->fwmark);
	put_key(out, "PrivateKey", cfg->private_key, "");
}

static void put_ini_peer(const struct node_config *cfg, FILE *out, const struct node_config_peer *p)
{
	fputs("\n[Peer]\n", out);
	if (p->name.len)
		fprintf(out, "# %s\n", node_config_str(cfg, p->name));
	put_key(out, "PublicKey", p->public_key, "");
	if (p->has_preshared_key)
		put_key(out, "PresharedKey", p->preshared_key, "");
	put_ini_cidrs(cfg, out, "AllowedIPs", p->allowed_ips);
	if (p->host.len) {
		fputs("Endpoint = ", out);
		put_endpoint(cfg, out, p);
		fputc('\n', out);
	}
	put_ini_number(out, "PersistentKeepalive", p->keepalive);
}

int node_config_to_wgquick(const struct node_config *cfg, FILE *out)
{
	put_ini_interface(cfg, out);
	for (uint32_t i = 0; i < cfg->peers.count; i++)
		put_ini_peer(cfg, out, node_config_peer(cfg, i));
	return fflush(out) || ferror(out) ? -EIO : 0;
}
