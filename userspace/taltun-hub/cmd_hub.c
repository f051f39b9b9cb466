/* SPDX-License-Identifier: MIT
 *
 * init, serve, renew-server.
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crypto/mem.h"
#include "hub/file.h"
#include "hub/serve.h"
#include "plat/clock.h"
#include "taltun-hub/cli.h"

#define DEFAULT_TCP_PORT 443
#define YEAR_S		 (365 * UINT64_C(86400))
#define CLOCK_SLACK_S	 3600

/* --- init ------------------------------------------------------------------------------------- */

/* HOST, HOST:PORT, or an IPv6 address in brackets. */
static bool parse_name(const char *text, struct hub_settings *s)
{
	char host[MESH_TOKEN_HOST_MAX + 3];
	const char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
	bool has_port = colon && (bracket ? colon > bracket : strchr(text, ':') == colon);
	size_t len = has_port ? (size_t)(colon - text) : strlen(text);
	const char *at = host;

	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = 0;
	if (host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = 0;
		at++;
	}
	s->tcp_port = DEFAULT_TCP_PORT;
	if (has_port) {
		unsigned port;
		char rest;
		if (sscanf(colon + 1, "%5u%c", &port, &rest) != 1 || port == 0 || port > 65535)
			return false;
		s->tcp_port = (uint16_t)port;
	}
	if (!mesh_token_host_is_valid(at) || strlen(at) >= TLS_NAME_MAX)
		return false;
	memcpy(s->name, at, strlen(at) + 1);
	return true;
}

/* Nodes take addresses of private ranges only, unless their own configuration says otherwise. */
static bool is_private(const struct tt_cidr *pool)
{
	static const char *const ranges[] = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
					     "100.64.0.0/10", "fc00::/7"};

	for (size_t i = 0; i < TT_ARRAY_LEN(ranges); i++) {
		struct tt_cidr r;
		tt_cidr_parse(ranges[i], &r);
		if (tt_cidr_contains(&r, &pool->ip) && pool->bits >= r.bits)
			return true;
	}
	return false;
}

static int add_pool(struct hub_settings *s, const char *text)
{
	struct tt_cidr pool;

	if (tt_cidr_parse(text, &pool) != 0 || tt_cidr_mask(&pool))
		return cli_usage("init", "\"%s\" is no prefix like 10.90.0.0/16", text);
	bool v4 = pool.ip.family == TT_FAMILY_V4;
	if (pool.bits > (v4 ? 29 : 120))
		return cli_usage("init", "the pool %s is too small", text);
	if (!is_private(&pool))
		return cli_usage("init", "the pool %s is not of a private range", text);
	struct tt_cidr *place = v4 ? &s->pool4 : &s->pool6;
	if (place->bits)
		return cli_usage("init", "one pool of each family is enough");
	*place = pool;
	return CLI_OK;
}

/* fdXX:XXXX:XXXX::/64, drawn (RFC 4193), with 90 in it to go with 10.90. */
static void default_pools(struct hub_settings *s)
{
	uint8_t b[16] = {0xfd, 0x90};
	struct tt_rng rng = plat_rng();

	tt_cidr_parse("10.90.0.0/16", &s->pool4);
	tt_rng_fill(&rng, b + 2, 4);
	s->pool6 = (struct tt_cidr){.ip = tt_ip_v6(b), .bits = 64};
}

static int parse_init(int argc, char **argv, struct hub_settings *s)
{
	const char *name = NULL, *pool;
	int rc, status = CLI_OK;

	memset(s, 0, sizeof(*s));
	if (cli_take_value(&argc, argv, "--name", &name) != 1)
		return cli_usage("init", "--name HOST[:PORT] is needed: what nodes will call");
	if (!parse_name(name, s))
		return cli_usage(
			"init", "\"%s\" is not a host name or address with an optional port", name);
	while (status == CLI_OK && (rc = cli_take_value(&argc, argv, "--pool", &pool)) != 0)
		status = rc < 0 ? cli_usage("init", "--pool needs a prefix") : add_pool(s, pool);
	if (status != CLI_OK)
		return status;
	if (argc > 1)
		return cli_usage("init", "unexpected argument \"%s\"", argv[1]);
	if (!s->pool4.bits && !s->pool6.bits)
		default_pools(s);
	return CLI_OK;
}

static int make_directory(const char *path, unsigned mode)
{
	if (mkdir(path, mode) == 0 || errno == EEXIST)
		return CLI_OK;
	return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
}

static int issue_server(const struct tls_der *ca, const struct tls_der *ca_key, const char *name,
			const struct tls_der *key, uint64_t now, struct tls_der *cert)
{
	struct tls_der csr;
	struct tls_cert_request r = {.role = TLS_CERT_HUB, .name = name};
	struct tls_cert_info info;
	struct tt_rng rng = plat_rng();
	int err = tls_csr_create(key, &csr);

	if (!err)
		err = tls_cert_parse(ca->bytes, ca->len, &info);
	if (err)
		return err;
	r.csr = csr.bytes;
	r.csr_len = csr.len;
	r.not_before_s = now - CLOCK_SLACK_S;
	r.not_after_s = TT_MIN(now + HUB_SERVER_CERT_YEARS * YEAR_S, info.not_after_s);
	tt_rng_fill(&rng, r.serial, sizeof(r.serial));
	return tls_cert_issue(ca, ca_key, &r, cert);
}

struct identity {
	struct tls_der ca_key, ca, key, cert;
};

static int make_identity(struct identity *d, const char *name)
{
	uint64_t now = (uint64_t)time(NULL);
	int err = tls_key_generate(&d->ca_key);

	if (!err)
		err = tls_key_generate(&d->key);
	if (!err)
		err = tls_ca_create(&d->ca_key, "Taltun hub CA", now - CLOCK_SLACK_S,
				    now + HUB_CA_YEARS * YEAR_S, &d->ca);
	if (!err)
		err = issue_server(&d->ca, &d->ca_key, name, &d->key, now, &d->cert);
	return err;
}

static const char config_text[] =
	"# Configuration of taltun-hub; every key is optional (docs/hub.md lists them).\n"
	"\n"
	"[hub]\n"
	"# listen = [\"0.0.0.0:443\", \"[::]:443\"]   # default: the port of the hub's name\n"
	"# certificate_days = 30                  # of nodes; they renew by themselves\n"
	"\n"
	"[stun]\n"
	"# udp_port = 3478                        # 0: none\n"
	"\n"
	"[relay]\n"
	"# udp_port = 3479                        # 0: relay by TCP only\n"
	"# public = [\"203.0.113.5:3479\"]          # default: as docs/hub.md says\n"
	"\n"
	"[metrics]\n"
	"# listen = \"127.0.0.1:9587\"              # /metrics, /healthz, /readyz; default: off\n";

/* The database comes last: with it, there is a hub. */
static int write_all(const struct identity *d, const struct hub_settings *s)
{
	const struct hub_paths *p = &cli_paths;
	struct hub_db *db;
	int err = hub_file_write_key(p->ca_key, &d->ca_key, false);

	if (!err)
		err = hub_file_write_cert(p->ca_cert, &d->ca, false);
	if (!err)
		err = hub_file_write_key(p->key, &d->key, false);
	if (!err)
		err = hub_file_write_cert(p->cert, &d->cert, false);
	if (!err && access(p->config, F_OK) != 0)
		err = hub_file_write(p->config, config_text, sizeof(config_text) - 1, 0644, false);
	if (err)
		return cli_fail(CLI_FAILED, "cannot write the files of the hub: %s",
				strerror(-err));
	enum hub_db_outcome o = hub_db_open(p->db, true, &db);
	if (o != HUB_DB_OK)
		return cli_fail(CLI_FAILED, "%s: %s", p->db, hub_db_outcome_text(o));
	int status = cli_outcome(db, hub_db_settings_save(db, s));
	hub_db_close(db);
	return status;
}

static void say_what_is_next(const struct hub_settings *s)
{
	const char *option = cli_dir ? " --dir " : "", *dir = cli_dir ? cli_dir : "";
	char v4[TT_CIDR_TEXT_MAX], v6[TT_CIDR_TEXT_MAX];

	printf("Made a hub for %s, TCP port %u.\n", s->name, s->tcp_port);
	printf("  state          %s   (back it up; ca.key makes the hub what it is)\n",
	       cli_paths.state_dir);
	printf("  configuration  %s\n", cli_paths.config);
	printf("  addresses      %s%s%s\n", s->pool4.bits ? tt_cidr_format(&s->pool4, v4) : "",
	       s->pool4.bits && s->pool6.bits ? ", " : "",
	       s->pool6.bits ? tt_cidr_format(&s->pool6, v6) : "");
	printf("\nNext:\n"
	       "  taltun-hub serve%s%s\n"
	       "      run it\n"
	       "  taltun-hub token create --name office --role gateway%s%s\n"
	       "      then, for each node, `taltun enroll TOKEN` there\n",
	       option, dir, option, dir);
}

static const char *existing_file(void)
{
	const char *const files[] = {cli_paths.db, cli_paths.ca_key, cli_paths.ca_cert,
				     cli_paths.cert, cli_paths.key};

	for (size_t i = 0; i < TT_ARRAY_LEN(files); i++)
		if (access(files[i], F_OK) == 0)
			return files[i];
	return NULL;
}

static int run_init(int argc, char **argv)
{
	struct hub_settings s;
	struct identity d = {0};
	int status = parse_init(argc, argv, &s);

	if (status == CLI_OK)
		status = make_directory(cli_paths.config_dir, 0755);
	if (status == CLI_OK)
		status = make_directory(cli_paths.state_dir, 0700);
	if (status != CLI_OK)
		return status;
	if (existing_file())
		return cli_fail(CLI_FAILED,
				"there is a hub already: %s exists; nothing was changed",
				existing_file());
	if (make_identity(&d, s.name) != 0)
		status = cli_fail(CLI_FAILED, "cannot make keys and certificates");
	else
		status = write_all(&d, &s);
	crypto_wipe(&d, sizeof(d));
	if (status == CLI_OK)
		say_what_is_next(&s);
	return status;
}

/* --- renew-server ----------------------------------------------------------------------------- */

static int run_renew(int argc, char **argv)
{
	const struct hub_paths *p = &cli_paths;
	struct hub_settings s;
	struct identity d = {0};

	if (argc > 1)
		return cli_usage("renew-server", "unexpected argument \"%s\"", argv[1]);
	/* the CA's key is root's: before the database is opened */
	int err = hub_file_read_cert(p->ca_cert, &d.ca);
	if (!err)
		err = hub_file_read_key(p->ca_key, &d.ca_key);
	if (!err)
		err = hub_file_read_key(p->key, &d.key);
	struct hub_db *db = err ? NULL : cli_open();
	int status = db ? cli_outcome(db, hub_db_settings_load(db, &s)) : CLI_FAILED;
	hub_db_close(db);
	if (!err && status != CLI_OK) {
		crypto_wipe(&d, sizeof(d));
		return status;
	}
	if (!err)
		err = issue_server(&d.ca, &d.ca_key, s.name, &d.key, (uint64_t)time(NULL), &d.cert);
	if (!err)
		err = hub_file_write_cert(p->cert, &d.cert, true);
	crypto_wipe(&d, sizeof(d));
	if (err)
		return cli_fail(CLI_FAILED, "the hub's certificate was not renewed: %s",
				strerror(-err));
	printf("Renewed %s; a running hub takes it with SIGHUP.\n", p->cert);
	return CLI_OK;
}

/* --- check-config ------------------------------------------------------------------------------
 */

static int run_check_config(int argc, char **argv)
{
	char error[HUB_CONFIG_ERROR_MAX];
	struct hub_config config;

	if (cli_check_arguments(argc, argv, 0, 1, "at most one file") != CLI_OK)
		return CLI_USAGE;
	const char *path = argc == 2 ? argv[1] : cli_paths.config;
	bool there = access(path, F_OK) == 0;
	/* to a hub that finds none, no file is as good as an empty one; a file that was named is
	 * not */
	if (!there && argc == 2)
		return cli_fail(CLI_CONFIG, "%s: %s", path, strerror(errno));
	if (hub_config_load(path, &config, error) != 0)
		return cli_fail(CLI_CONFIG, "%s", error);
	printf("%s: %s\n", path, there ? "valid" : "not there: the defaults hold");
	return CLI_OK;
}

/* --- serve ------------------------------------------------------------------------------------ */

static int run_serve(int argc, char **argv)
{
	struct hub_serve_options opt = {.paths = &cli_paths};

	opt.no_udp_relay = cli_take_flag(&argc, argv, "--no-udp-relay");
	opt.ca_key_stdin = cli_take_flag(&argc, argv, "--ca-key-stdin");
	if (argc > 1)
		return cli_usage("serve", "unexpected argument \"%s\"", argv[1]);
	switch (hub_serve(&opt)) {
	case HUB_SERVE_ENDED:
		return CLI_OK;
	case HUB_SERVE_BAD_CONFIG:
		return CLI_CONFIG;
	case HUB_SERVE_FAILED:
		break;
	}
	return CLI_FAILED;
}

const struct cli_command cli_commands_hub[] = {
	{"init", "--name HOST[:PORT] [--pool CIDR]...",
	 "Make a hub: CA, server certificate, database, configuration.",
	 "HOST is the name or address under which nodes reach the hub; it goes into its\n"
	 "certificate and into every token. The port is 443 if not given.\n"
	 "--pool says where nodes' addresses come from, once per family; without it,\n"
	 "10.90.0.0/16 and a random IPv6 /64 of fd90::/16. What exists is never overwritten.",
	 run_init},
	{"serve", "[--no-udp-relay] [--ca-key-stdin]",
	 "Run the hub in the foreground; the log goes to stderr.",
	 "SIGTERM tells the nodes and ends it; SIGHUP reads its certificate and limits again.\n"
	 "--ca-key-stdin takes the CA's key from standard input, opened by a service manager on a\n"
	 "file that the hub's own user cannot read.",
	 run_serve},
	{"check-config", "[FILE]", "Check the hub's configuration without using it.",
	 "FILE is /etc/taltun/hub.toml, or that of --dir. `systemctl reload taltun-hub` begins "
	 "with\n"
	 "it. An error names the file, the line and the column, and the exit status is 78.",
	 run_check_config},
	{"renew-server", "", "Issue the hub's own certificate anew, for 5 years.", NULL, run_renew},
	{0},
};
