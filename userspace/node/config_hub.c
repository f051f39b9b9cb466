/* SPDX-License-Identifier: MIT
 *
 * The section [hub]: server, names, and the files that an enrolment has left.
 */
#include "node/config_schema.h"

#include <errno.h>
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "mesh/token.h"
#include "node/config_file.h"
#include "tls/cert.h"

#define HUB_FILE_MAX 16384 /* bytes of a PEM file */

/* --- keys of the section --------------------------------------------------------------------- */

static int fail_server(struct node_draft *d, const struct node_value *v, const char *hint)
{
	char quote[NODE_QUOTE_MAX];

	return node_draft_fail(d, v->at, "%s is %s; %s", v->label,
			       node_quote(quote, v->text, v->len), hint);
}

/* "host", "host:port", "[v6]", "[v6]:port": where the host ends. NULL: it has no end. */
static const char *host_end(const char *text, size_t len)
{
	const char *end;

	if (len && text[0] == '[')
		return memchr(text, ']', len);
	end = memrchr(text, ':', len);
	return end ? end : text + len;
}

int node_parse_hub_server(struct node_draft *d, const struct node_schema_key *k,
			  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	const char *stop = v->text + v->len;
	const char *end = v->len ? host_end(v->text, v->len) : NULL;
	bool brackets = v->len && v->text[0] == '[';
	const char *host = v->text + brackets;
	char text[MESH_TOKEN_HOST_MAX + 1];
	int64_t tcp_port = NODE_CONFIG_HUB_PORT;

	(void)k;
	d->hub.seen = true;
	d->hub.server = v->at;
	if (!end || memchr(v->text, '/', v->len))
		return fail_server(d, v, "expected \"host:port\", as \"hub.example.com:443\"");
	const char *rest = end + brackets;
	size_t len = (size_t)(end - host);
	if (!brackets && memchr(host, ':', len))
		return fail_server(d, v, "an IPv6 address is written \"[address]:port\"");
	if (rest < stop && *rest == ':')
		tcp_port = node_parse_port_number(rest + 1, (size_t)(stop - rest - 1));
	else if (rest != stop)
		tcp_port = -1;
	if (tcp_port < 0)
		return fail_server(d, v, "expected a port from 1 to 65535 after the last \":\"");
	if (len == 0 || len >= sizeof(text))
		return fail_server(d, v, "expected a host name or an address");
	memcpy(text, host, len);
	text[len] = '\0';
	if (!mesh_token_host_is_valid(text) || brackets != (strchr(text, ':') != NULL))
		return fail_server(d, v, "expected a host name or an address");
	cfg->hub.tcp_port = (uint16_t)tcp_port;
	return node_draft_text(d, host, len, &cfg->hub.host);
}

int node_parse_hub_name(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	char text[MESH_TOKEN_HOST_MAX + 1];

	d->hub.seen = true;
	if (v->len >= sizeof(text))
		return node_draft_fail(d, v->at, "%s is longer than %d characters", v->label,
				       MESH_TOKEN_HOST_MAX);
	memcpy(text, v->text, v->len);
	text[v->len] = '\0';
	if (!mesh_token_host_is_valid(text)) {
		char quote[NODE_QUOTE_MAX];
		return node_draft_fail(d, v->at, "%s is %s; expected %s", v->label,
				       node_quote(quote, v->text, v->len), k->expected);
	}
	return node_draft_text(d, v->text, v->len, &cfg->hub.name);
}

/* The file is read by node_draft_check_hub: a later source may still replace it. */
int node_parse_hub_file(struct node_draft *d, const struct node_schema_key *k,
			const struct node_value *v, void *obj)
{
	(void)obj;
	d->hub.seen = true;
	if (v->len == 0)
		return node_draft_fail(d, v->at, "%s is empty", v->label);
	d->hub.file_at[k->min] = v->at;
	return node_draft_text(d, v->text, v->len, &d->hub.file[k->min]);
}

int node_parse_hub_accept(struct node_draft *d, const struct node_schema_key *k,
			  const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	int rc = node_parse_cidrs(d, v, &cfg->hub.accept, true);

	(void)k;
	d->hub.seen = true;
	if (!rc && cfg->hub.accept.count > NODE_CONFIG_ACCEPT_MAX)
		rc = node_draft_fail(d, v->at, "%s holds more than %d prefixes", v->label,
				     NODE_CONFIG_ACCEPT_MAX);
	return rc;
}

int node_parse_hub_networks(struct node_draft *d, const struct node_schema_key *k,
			    const struct node_value *v, void *obj)
{
	struct node_config *cfg = obj;
	int rc = node_parse_cidrs(d, v, &cfg->hub.networks, true);

	(void)k;
	d->hub.seen = true;
	if (!rc && cfg->hub.networks.count > NODE_CONFIG_NETWORKS_MAX)
		rc = node_draft_fail(d, v->at, "%s holds more than %d prefixes", v->label,
				     NODE_CONFIG_NETWORKS_MAX);
	for (uint32_t i = 0; !rc && i < cfg->hub.networks.count; i++)
		if (node_draft_cidr(d, cfg->hub.networks.off + i)->bits == 0)
			rc = node_draft_fail(d, v->at,
					     "%s holds a default route; that belongs in accept",
					     v->label);
	return rc;
}

/* --- files ----------------------------------------------------------------------------------- */

struct hub_file {
	const char *label, *standard; /* the default's name in STATE_DIR/IFNAME.hub/ */
	const char *what;
	bool is_private;
	int (*from_pem)(const char *pem, size_t len, struct tls_der *out);
};

static const struct hub_file hub_files[NODE_HUB_FILE_COUNT] = {
	[NODE_HUB_CERTIFICATE] = {"certificate_file", "node.crt", "certificate", false,
				  tls_cert_from_pem},
	[NODE_HUB_KEY] = {"key_file", "node.key", "key", true, tls_key_from_pem},
	[NODE_HUB_CA] = {"ca_file", "ca.crt", "certificate", false, tls_cert_from_pem},
};

/* Where the setting stands, or the one without which there were no section. */
static struct node_where file_place(const struct node_draft *d, enum node_hub_file which)
{
	return d->hub.file[which].len ? d->hub.file_at[which] : d->hub.server;
}

/* As given, and whole; both of `size` bytes. False: too long. */
static bool file_paths(const struct node_draft *d, enum node_hub_file which, char *path, char *full,
		       size_t size)
{
	struct node_config_text given = d->hub.file[which];
	int n;

	if (given.len) {
		n = snprintf(path, size, "%s", d->text.base + given.off);
		return (size_t)n < size &&
		       node_full_path(d, d->hub.file_at[which].level, path, full, size);
	}
	n = snprintf(path, size, "%s/%s.hub/%s", d->state_dir, d->cfg.name,
		     hub_files[which].standard);
	memcpy(full, path, size);
	return (size_t)n < size;
}

static int parse_pem(struct node_draft *d, enum node_hub_file which, const char *path,
		     const struct node_file *f, struct tls_der *out)
{
	const struct hub_file *h = &hub_files[which];
	struct node_where at = file_place(d, which);

	if (h->is_private && node_named_file_is_private(d, at, h->label, path, f))
		return -EINVAL;
	if (h->from_pem(f->text, f->len, out))
		return node_draft_fail(d, at, "%s: %s holds no %s in PEM", h->label, path, h->what);
	return 0;
}

/* Reads one file to *out and keeps its whole path in *where. */
static int read_hub_file(struct node_draft *d, enum node_hub_file which, struct tls_der *out,
			 struct node_config_text *where)
{
	const struct hub_file *h = &hub_files[which];
	struct node_where at = file_place(d, which);
	char path[1024], full[1024];
	struct node_file f;

	if (!file_paths(d, which, path, full, sizeof(path)))
		return node_draft_fail(d, at, "%s: the path is too long", h->label);
	int rc = node_named_file_read(d, at, h->label, path, full, HUB_FILE_MAX, &f);
	if (rc)
		return rc;
	rc = parse_pem(d, which, path, &f, out);
	node_file_free(&f);
	return rc ? rc : node_draft_text(d, full, strlen(full), where);
}

/* --- what has to fit ------------------------------------------------------------------------- */

static int check_ca(struct node_draft *d, const struct tls_der *ca)
{
	struct tls_cert_info info;

	if (tls_cert_parse(ca->bytes, ca->len, &info) == 0 && info.role == TLS_CERT_CA)
		return 0;
	return node_draft_fail(d, file_place(d, NODE_HUB_CA), "ca_file: this is no CA certificate");
}

static int check_certificate(struct node_draft *d, const struct tls_der *cert,
			     const struct tls_der *key, const struct tls_der *ca)
{
	struct node_where at = file_place(d, NODE_HUB_CERTIFICATE);
	struct tls_cert_info info;
	uint8_t own[TT_KEY_LEN];

	if (tls_cert_parse(cert->bytes, cert->len, &info) || info.role != TLS_CERT_NODE)
		return node_draft_fail(d, at, "certificate_file: this is no node's certificate");
	if (!tls_cert_signed_by(cert, ca))
		return node_draft_fail(
			d, at, "certificate_file: the CA in ca_file has not signed it; enrol anew");
	if (!tls_cert_has_key(cert, key))
		return node_draft_fail(d, file_place(d, NODE_HUB_KEY),
				       "key_file: this is not the key of the certificate");
	crypto_x25519_base(own, d->cfg.private_key);
	if (!info.has_wg_key || !crypto_equal(own, info.wg_public_key, TT_KEY_LEN))
		return node_draft_fail(d, at,
				       "certificate_file: it is for another private key than the "
				       "interface's; enrol anew");
	return 0;
}

static int keep_der(struct node_draft *d, const struct tls_der *der, struct node_config_text *out)
{
	return node_draft_text(d, (const char *)der->bytes, der->len, out);
}

static int take_files(struct node_draft *d, struct tls_der der[NODE_HUB_FILE_COUNT])
{
	struct node_config_hub *h = &d->cfg.hub;
	int rc = read_hub_file(d, NODE_HUB_CA, &der[NODE_HUB_CA], &h->ca_file);

	if (!rc)
		rc = read_hub_file(d, NODE_HUB_CERTIFICATE, &der[NODE_HUB_CERTIFICATE],
				   &h->certificate_file);
	if (!rc)
		rc = read_hub_file(d, NODE_HUB_KEY, &der[NODE_HUB_KEY], &h->key_file);
	if (!rc)
		rc = check_ca(d, &der[NODE_HUB_CA]);
	if (!rc)
		rc = check_certificate(d, &der[NODE_HUB_CERTIFICATE], &der[NODE_HUB_KEY],
				       &der[NODE_HUB_CA]);
	if (!rc)
		rc = keep_der(d, &der[NODE_HUB_CERTIFICATE], &h->certificate);
	if (!rc)
		rc = keep_der(d, &der[NODE_HUB_KEY], &h->key);
	return rc ? rc : keep_der(d, &der[NODE_HUB_CA], &h->ca);
}

int node_draft_check_hub(struct node_draft *d)
{
	struct tls_der der[NODE_HUB_FILE_COUNT];

	if (!d->hub.seen)
		return 0;
	if (!d->cfg.hub.host.len)
		return node_draft_fail(d, d->hub.header,
				       "no server in [hub]; expected server = \"host:port\"");
	if (!d->cfg.hub.name.len)
		d->cfg.hub.name = d->cfg.hub.host;
	memset(der, 0, sizeof(der));
	int rc = take_files(d, der);
	crypto_wipe(der, sizeof(der));
	d->cfg.hub.given = !rc;
	return rc;
}
