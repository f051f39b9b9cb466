/* SPDX-License-Identifier: MIT
 *
 * The section [hub] with real files: a CA, a node's certificate and key, and what does not fit.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hub_files.h"
#include "node/config_load.h"
#include "node/config_wgquick.h"
#include "node/net_set.h"
#include "tt_test.h"

#define KEY_A HUB_FILES_KEY
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define BASE  "[interface]\nname = \"tt0\"\nprivate_key = \"" KEY_A "\"\n"
#define HUB   BASE "[hub]\nserver = \"hub.example.com\"\n"

static char tmp[64];
static struct hub_files h;

static const char *in_tmp(const char *name)
{
	static char path[4][512];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", tmp, name);
	return p;
}

static void put(const char *name, const char *text, mode_t mode)
{
	hub_files_put(tmp, name, text, mode);
}

static void put_cert(const char *name, const struct tls_der *der)
{
	hub_files_put_cert(tmp, name, der);
}

static void setup(void)
{
	strcpy(tmp, "/tmp/taltun-hubconf-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(tmp) != NULL);
	hub_files_make(&h, in_tmp("tt0.hub"));
}

static void remove_folder(const char *name)
{
	struct dirent **list;
	int n = scandir(name, &list, NULL, NULL);
	char path[1024];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", name, list[i]->d_name);
		unlink(path);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	rmdir(name);
}

static void teardown(void)
{
	remove_folder(in_tmp("tt0.hub"));
	remove_folder(tmp);
}

static struct node_config_error error;

static struct node_config *load(const char *text, const char *const *env, const char *const *set,
				size_t sets)
{
	struct node_config_source src = {.path = in_tmp("tt0.toml"),
					 .text = text,
					 .text_len = strlen(text),
					 .env = env,
					 .set = set,
					 .set_count = sets,
					 .state_dir = tmp};
	struct node_config *cfg = NULL;

	if (node_config_load(&src, &error, &cfg) != 0)
		CU_ASSERT(error.text[0] != '\0');
	CU_ASSERT(!cfg || node_config_valid(cfg, cfg->size));
	return cfg;
}

static struct node_config *load_ok(const char *text)
{
	struct node_config *cfg = load(text, NULL, NULL, 0);

	if (!cfg)
		printf("  %s\n", error.text);
	CU_ASSERT_FATAL(cfg != NULL);
	CU_ASSERT_EQUAL(error.warning_count, 0);
	return cfg;
}

/* want: behind the folder's name. */
static void refuse(const char *text, const char *want)
{
	struct node_config *cfg = load(text, NULL, NULL, 0);
	size_t n = strlen(tmp) + 1;
	const char *got = strncmp(error.text, tmp, n - 1) == 0 ? error.text + n : error.text;
	char cut[NODE_CONFIG_TEXT_MAX] = "";

	/* messages name files of the folder too */
	for (size_t n_cut = 0; *got && n_cut + 4 < sizeof(cut);) {
		bool name = strncmp(got, tmp, n - 1) == 0;
		memcpy(cut + n_cut, name ? "DIR" : got, name ? 3 : 1);
		n_cut += name ? 3 : 1;
		got += name ? n - 1 : 1;
	}
	if (cfg || strcmp(cut, want) != 0)
		printf("  want %s\n  got  %s\n", want, cfg ? "(loads)" : cut);
	CU_ASSERT(!cfg && strcmp(cut, want) == 0);
	node_config_free(cfg);
}

static bool der_is(const struct node_config *cfg, struct node_config_text t,
		   const struct tls_der *der)
{
	return t.len == der->len && memcmp(node_config_str(cfg, t), der->bytes, der->len) == 0;
}

/* --- what loads ------------------------------------------------------------------------------ */

static void defaults(void)
{
	setup();
	struct node_config *cfg = load_ok(HUB);
	CU_ASSERT_EQUAL(cfg->hub.given, 1);
	CU_ASSERT_EQUAL(cfg->hub.tcp_port, 443);
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.host), "hub.example.com");
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.name), "hub.example.com");
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.certificate_file),
			       in_tmp("tt0.hub/node.crt"));
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.key_file), in_tmp("tt0.hub/node.key"));
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.ca_file), in_tmp("tt0.hub/ca.crt"));
	CU_ASSERT(der_is(cfg, cfg->hub.certificate, &h.node));
	CU_ASSERT(der_is(cfg, cfg->hub.key, &h.node_key));
	CU_ASSERT(der_is(cfg, cfg->hub.ca, &h.ca));
	CU_ASSERT_EQUAL(cfg->hub.accept.count, 0);
	CU_ASSERT_EQUAL(cfg->peers.count, 0);
	node_config_free(cfg);
	cfg = load_ok(BASE);
	CU_ASSERT_EQUAL(cfg->hub.given, 0);
	node_config_free(cfg);
	teardown();
}

static void servers(void)
{
	static const struct {
		const char *server, *host;
		uint16_t tcp_port;
	} cases[] = {
		{"hub.example.com:8443", "hub.example.com", 8443},
		{"192.0.2.1", "192.0.2.1", 443},
		{"192.0.2.1:1", "192.0.2.1", 1},
		{"[fd90::1]", "fd90::1", 443},
		{"[fd90::1]:65535", "fd90::1", 65535},
		{"hub", "hub", 443},
	};
	char text[512];

	setup();
	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		snprintf(text, sizeof(text), BASE "[hub]\nserver = \"%s\"\n", cases[i].server);
		struct node_config *cfg = load_ok(text);
		CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.host), cases[i].host);
		CU_ASSERT_EQUAL(cfg->hub.tcp_port, cases[i].tcp_port);
		node_config_free(cfg);
	}
	teardown();
}

static char *text_of(const struct node_config *cfg,
		     int (*write)(const struct node_config *cfg, FILE *out))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	write(cfg, out);
	fclose(out);
	return text;
}

static int dump(const struct node_config *cfg, FILE *out)
{
	node_config_dump(cfg, out);
	return 0;
}

#define FULL                                                                               \
	HUB "name = \"mesh.example.com\"\naccept = [\"192.168.50.0/24\", \"0.0.0.0/0\"]\n" \
	    "networks = [\"10.90.0.0/16\", \"fd90::/64\"]\n"

static void written_and_read_again(void)
{
	setup();
	struct node_config *cfg = load_ok(FULL);
	char *shown = text_of(cfg, dump);
	CU_ASSERT(strstr(shown, "hub.server = hub.example.com port 443\n") != NULL);
	CU_ASSERT(strstr(shown, "hub.name = mesh.example.com\n") != NULL);
	CU_ASSERT(strstr(shown, "hub.accept = 192.168.50.0/24\nhub.accept = 0.0.0.0/0\n") != NULL);
	CU_ASSERT(strstr(shown, "hub.networks = 10.90.0.0/16\n") != NULL);
	CU_ASSERT(strstr(shown, "PRIVATE") == NULL);
	char *toml = text_of(cfg, node_config_to_toml);
	struct node_config *again = load_ok(toml);
	char *shown_again = text_of(again, dump);
	CU_ASSERT_STRING_EQUAL(shown, shown_again);
	free(shown);
	free(shown_again);
	free(toml);
	node_config_free(cfg);
	node_config_free(again);
	teardown();
}

static void later_sources_win(void)
{
	const char *const env[] = {"TALTUN_HUB_SERVER=env.example.com:444",
				   "TALTUN_HUB_ACCEPT=10.1.0.0/16,10.2.0.0/16", NULL};
	const char *const set[] = {"hub.server=[::1]:445", "hub.name=flag.example.com"};
	char key[600];

	setup();
	struct node_config *cfg = load(FULL, env, NULL, 0);
	CU_ASSERT_FATAL(cfg != NULL);
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.host), "env.example.com");
	CU_ASSERT_EQUAL(cfg->hub.accept.count, 2);
	node_config_free(cfg);
	cfg = load(FULL, env, set, 2);
	CU_ASSERT_FATAL(cfg != NULL);
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.host), "::1");
	CU_ASSERT_STRING_EQUAL(node_config_str(cfg, cfg->hub.name), "flag.example.com");
	node_config_free(cfg);
	/* all of it from flags, and a file that does not exist */
	const char *const bad[] = {"hub.server=h", "hub.key_file=/nowhere/k"};
	cfg = load(BASE, NULL, bad, 2);
	CU_ASSERT_PTR_NULL(cfg);
	CU_ASSERT_STRING_EQUAL(error.text, "--set hub.key_file: key_file: /nowhere/k: No such file "
					   "or directory");
	/* the file's paths start where the file is */
	snprintf(key, sizeof(key), "%skey_file = \"tt0.hub/node.key\"\n", HUB);
	node_config_free(load_ok(key));
	teardown();
}

/* --- what does not ---------------------------------------------------------------------------- */

static void files_that_do_not_fit(void)
{
	struct tls_der other_ca, other_key, other;

	setup();
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.hub/node.key"), 0640), 0);
	refuse(HUB, "tt0.toml:5:10: key_file: DIR/tt0.hub/node.key is open to group or others "
		    "(mode 0640); run: chmod 600 DIR/tt0.hub/node.key");
	put("tt0.hub/node.key", "-----BEGIN PRIVATE KEY-----\nno\n-----END PRIVATE KEY-----\n",
	    0600);
	refuse(HUB, "tt0.toml:5:10: key_file: DIR/tt0.hub/node.key holds no key in PEM");
	hub_files_make_ca(&other_ca, &other_key);
	hub_files_put_key(tmp, "tt0.hub/node.key", &other_key, 0600);
	refuse(HUB, "tt0.toml:5:10: key_file: this is not the key of the certificate");
	hub_files_put_key(tmp, "tt0.hub/node.key", &h.node_key, 0600);

	put_cert("tt0.hub/ca.crt", &other_ca);
	refuse(HUB, "tt0.toml:5:10: certificate_file: the CA in ca_file has not signed it; enrol "
		    "anew");
	put_cert("tt0.hub/ca.crt", &h.node);
	refuse(HUB, "tt0.toml:5:10: ca_file: this is no CA certificate");
	unlink(in_tmp("tt0.hub/ca.crt"));
	refuse(HUB, "tt0.toml:5:10: ca_file: DIR/tt0.hub/ca.crt: No such file or directory");
	put_cert("tt0.hub/ca.crt", &h.ca);

	put_cert("tt0.hub/node.crt", &h.ca);
	refuse(HUB, "tt0.toml:5:10: certificate_file: this is no node's certificate");
	hub_files_issue(&h.ca, &h.ca_key, &h.node_key, KEY_B, &other);
	put_cert("tt0.hub/node.crt", &other);
	refuse(HUB, "tt0.toml:5:10: certificate_file: it is for another private key than the "
		    "interface's; enrol anew");
	teardown();
}

/* --- what follows from it -------------------------------------------------------------------- */

static bool has_route(const struct node_net_set *s, const char *prefix)
{
	struct node_net_entry e = {.is_route = true};

	CU_ASSERT_EQUAL_FATAL(tt_cidr_parse(prefix, &e.prefix), 0);
	return node_net_set_has(s, &e);
}

static void routes(void)
{
	struct node_net_set s;

	setup();
	struct node_config *cfg = load_ok(FULL);
	CU_ASSERT_EQUAL_FATAL(node_net_set_make(cfg, &s), 0);
	CU_ASSERT_EQUAL(s.count, 4);
	CU_ASSERT(has_route(&s, "192.168.50.0/24") && has_route(&s, "0.0.0.0/0"));
	CU_ASSERT(has_route(&s, "10.90.0.0/16") && has_route(&s, "fd90::/64"));
	CU_ASSERT(!has_route(&s, "::/0"));
	node_net_set_free(&s);
	/* the addresses bring one of them by themselves; the other modes bring none */
	cfg->routes_mode = NODE_ROUTES_NONE;
	CU_ASSERT_EQUAL_FATAL(node_net_set_make(cfg, &s), 0);
	CU_ASSERT_EQUAL(s.count, 0);
	node_net_set_free(&s);
	node_config_free(cfg);
	teardown();
}

static void broken_blobs(void)
{
	setup();
	struct node_config *cfg = load_ok(FULL);
	const uint32_t off = cfg->hub.key.off, len = cfg->hub.key.len;
	const struct node_config_range networks = cfg->hub.networks;

	cfg->hub.key.off = cfg->size;
	CU_ASSERT_FALSE(node_config_valid(cfg, cfg->size));
	cfg->hub.key.off = off;
	cfg->hub.key.len = 0;
	CU_ASSERT_FALSE(node_config_valid(cfg, cfg->size));
	cfg->hub.key.len = UINT32_MAX;
	CU_ASSERT_FALSE(node_config_valid(cfg, cfg->size));
	cfg->hub.key.len = len;
	cfg->hub.networks.count = cfg->size;
	CU_ASSERT_FALSE(node_config_valid(cfg, cfg->size));
	cfg->hub.networks = networks;
	CU_ASSERT_TRUE(node_config_valid(cfg, cfg->size));
	node_config_free(cfg);
	teardown();
}

TT_TESTS("config hub", {"defaults", defaults}, {"servers", servers},
	 {"written and read again", written_and_read_again},
	 {"later sources win", later_sources_win}, {"files that do not fit", files_that_do_not_fit},
	 {"routes", routes}, {"broken blobs", broken_blobs})
