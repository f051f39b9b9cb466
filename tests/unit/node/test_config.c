/* SPDX-License-Identifier: MIT
 *
 * Configuration from TOML: the folders tests/config/{valid,invalid}, key files, precedence, size.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "node/config_load.h"
#include "tt_test.h"

#define KEY_A "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define BASE  "[interface]\nname = \"tt0\"\nprivate_key = \"" KEY_A "\"\n"

static char *read_whole(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = f ? calloc(1, 1 << 20) : NULL;

	*len = text ? fread(text, 1, (1 << 20) - 1, f) : 0;
	if (f)
		fclose(f);
	return text;
}

static int load_text(const char *path, const char *text, size_t len, struct node_config_error *err,
		     struct node_config **cfg)
{
	struct node_config_source src = {
		.path = path, .text = text, .text_len = len, .syntax = NODE_CONFIG_TOML};

	*cfg = NULL;
	return node_config_load(&src, err, cfg);
}

static struct node_config *load_ok(const char *text)
{
	struct node_config_error err;
	struct node_config *cfg;

	if (load_text("t.toml", text, strlen(text), &err, &cfg)) {
		printf("  %s\n", err.text);
		CU_FAIL("the text loads");
	}
	return cfg;
}

/* --- the folders ----------------------------------------------------------------------------- */

static char *dump_of(const struct node_config *cfg, const struct node_config_error *err)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (cfg)
		node_config_dump(cfg, out);
	else
		fprintf(out, "%s\n", err->text);
	uint32_t kept = TT_MIN(err->warning_count, NODE_CONFIG_WARNINGS_MAX);
	for (uint32_t i = 0; i < kept; i++)
		fprintf(out, "warning: %s\n", err->warnings[i]);
	if (err->warning_count > kept)
		fprintf(out, "warning: %u more\n", err->warning_count - kept);
	fclose(out);
	return text;
}

static bool check_file(const char *dir, const char *name, bool valid)
{
	struct node_config_error err;
	struct node_config *cfg;
	char path[512];
	size_t len, want_len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	char *text = read_whole(path, &len);
	memcpy(path + strlen(path) - 5, valid ? ".out" : ".err", 5);
	char *want = read_whole(path, &want_len);
	int rc = load_text(name, text, len, &err, &cfg);
	char *got = dump_of(cfg, &err);
	bool ok = want && (rc == 0) == valid && (rc == 0 || rc == -EINVAL) &&
		  strcmp(want, got) == 0 && (!cfg || node_config_valid(cfg, cfg->size));
	if (!ok)
		printf("  %s: result %d\n  want %s  got  %s", path, rc, want ? want : "(absent)\n",
		       got);
	node_config_free(cfg);
	free(text);
	free(want);
	free(got);
	return ok;
}

static void check_folder(const char *dir, bool valid, unsigned at_least)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, alphasort);
	unsigned files = 0, wrong = 0;

	CU_ASSERT_FATAL(n >= 0);
	for (int i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name);
		if (len > 5 && strcmp(list[i]->d_name + len - 5, ".toml") == 0) {
			files++;
			wrong += !check_file(dir, list[i]->d_name, valid);
		}
		free(list[i]);
	}
	free(list);
	printf("  %s: %u files\n", dir, files);
	CU_ASSERT(files >= at_least);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void valid_files(void)
{
	check_folder("tests/config/valid", true, 50);
}

static void invalid_files(void)
{
	check_folder("tests/config/invalid", false, 100);
}

/* --- key files ------------------------------------------------------------------------------- */

static char tmp[64];

static const char *in_tmp(const char *name)
{
	static char path[4][512];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", tmp, name);
	return p;
}

static void make_tmp(void)
{
	strcpy(tmp, "/tmp/taltun-config-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(tmp) != NULL);
}

static void remove_tmp(void)
{
	struct dirent **list;
	int n = scandir(tmp, &list, NULL, NULL);

	for (int i = 0; i < n; i++) {
		if (unlink(in_tmp(list[i]->d_name)))
			rmdir(in_tmp(list[i]->d_name));
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	rmdir(tmp);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(in_tmp(name), "w");

	CU_ASSERT_FATAL(f != NULL);
	fputs(text, f);
	fclose(f);
	CU_ASSERT_EQUAL(chmod(in_tmp(name), mode), 0);
}

/* Loads tmp/NAME as a file; the error's text without the folder, "" where it loads. */
static const char *load_file(const char *name, struct node_config **cfg,
			     struct node_config_error *err)
{
	struct node_config_source src = {.path = in_tmp(name)};

	*cfg = NULL;
	int rc = node_config_load(&src, err, cfg);
	CU_ASSERT_EQUAL(rc == 0, err->text[0] == '\0');
	bool prefixed = strncmp(err->text, tmp, strlen(tmp)) == 0;
	return prefixed ? err->text + strlen(tmp) + 1 : err->text;
}

static void expect_key_file(const char *keyfile, const char *want)
{
	struct node_config_error err;
	struct node_config *cfg;
	char text[256];

	snprintf(text, sizeof(text), "[interface]\nname = \"tt0\"\nprivate_key_file = \"%s\"\n",
		 keyfile);
	write_file("tt0.toml", text, 0644);
	const char *got = load_file("tt0.toml", &cfg, &err);
	if (strcmp(got, want) != 0)
		printf("  want %s\n  got  %s\n", want, got);
	CU_ASSERT(strcmp(got, want) == 0);
	CU_ASSERT_EQUAL(err.warning_count, 0);
	if (cfg) {
		char key[TT_KEY_B64_LEN + 1];
		tt_key_to_b64(cfg->private_key, key);
		CU_ASSERT_STRING_EQUAL(key, KEY_A);
	}
	node_config_free(cfg);
}

#define OPEN "tt0.toml:3:20: private_key_file: tt0.key is open to group or others (mode "

static void key_file_modes(void)
{
	make_tmp();
	write_file("tt0.key", KEY_A "\n", 0600);
	expect_key_file("tt0.key", "");
	expect_key_file(in_tmp("tt0.key"), "");
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.key"), 0400), 0);
	expect_key_file("tt0.key", "");
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.key"), 0640), 0);
	expect_key_file("tt0.key", OPEN "0640); run: chmod 600 tt0.key");
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.key"), 0604), 0);
	expect_key_file("tt0.key", OPEN "0604); run: chmod 600 tt0.key");
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.key"), 0644), 0);
	CU_ASSERT_EQUAL(symlink("tt0.key", in_tmp("link.key")), 0);
	expect_key_file("link.key", "tt0.toml:3:20: private_key_file: link.key is open to group or "
				    "others (mode 0644); run: chmod 600 link.key");
	CU_ASSERT_EQUAL(chmod(in_tmp("tt0.key"), 0600), 0);
	expect_key_file("link.key", "");
	CU_ASSERT_EQUAL(symlink("loop.key", in_tmp("loop.key")), 0);
	expect_key_file("loop.key", "tt0.toml:3:20: private_key_file: loop.key: Too many levels of "
				    "symbolic links");
	remove_tmp();
}

static void key_file_contents(void)
{
	static const char lead[] = "tt0.toml:3:20: private_key_file: ";
	char want[256];

	make_tmp();
	write_file("crlf.key", KEY_A "\r\n\r\n", 0600);
	expect_key_file("crlf.key", "");
	write_file("bare.key", KEY_A, 0600);
	expect_key_file("bare.key", "");
	write_file("empty.key", "\n", 0600);
	snprintf(want, sizeof(want), "%sempty.key is empty", lead);
	expect_key_file("empty.key", want);
	write_file("two.key", KEY_A "\n" KEY_B "\n", 0600);
	snprintf(want, sizeof(want), "%stwo.key holds no key; expected 44 characters of base64",
		 lead);
	expect_key_file("two.key", want);
	write_file("big.key", "", 0600);
	CU_ASSERT_EQUAL(truncate(in_tmp("big.key"), (off_t)1 << 30), 0);
	snprintf(want, sizeof(want), "%sbig.key is too big for a key file", lead);
	expect_key_file("big.key", want);
	CU_ASSERT_EQUAL(mkfifo(in_tmp("fifo.key"), 0600), 0);
	snprintf(want, sizeof(want), "%sfifo.key is not a regular file", lead);
	expect_key_file("fifo.key", want);
	remove_tmp();
}

static void preshared_key_file(void)
{
	struct node_config_error err;
	struct node_config *cfg;

	make_tmp();
	write_file("tt0.toml",
		   "[interface]\nprivate_key_file = \"tt0.key\"\n"
		   "[[peer]]\npublic_key = \"" KEY_B "\"\npreshared_key_file = \"p.psk\"\n",
		   0644);
	write_file("tt0.key", KEY_A "\n", 0600);
	write_file("p.psk", KEY_C "\n", 0600);
	CU_ASSERT_STRING_EQUAL(load_file("tt0.toml", &cfg, &err), "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	CU_ASSERT_EQUAL(err.warning_count, 0); /* it names keys, and holds none */
	char key[TT_KEY_B64_LEN + 1];
	tt_key_to_b64(node_config_peer(cfg, 0)->preshared_key, key);
	CU_ASSERT_STRING_EQUAL(key, KEY_C);
	node_config_free(cfg);
	CU_ASSERT_EQUAL(chmod(in_tmp("p.psk"), 0644), 0);
	CU_ASSERT_STRING_EQUAL(load_file("tt0.toml", &cfg, &err),
			       "tt0.toml:5:22: preshared_key_file: p.psk is open to group or "
			       "others (mode 0644); run: chmod 600 p.psk");
	write_file("tt0.toml",
		   "[interface]\nprivate_key_file = \"tt0.key\"\n"
		   "[[peer]]\npublic_key = \"" KEY_B "\"\npreshared_key = \"" KEY_C "\"\n",
		   0644);
	CU_ASSERT_STRING_EQUAL(load_file("tt0.toml", &cfg, &err), "");
	CU_ASSERT_EQUAL(err.warning_count, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.warnings[0], "holds keys and is open to everybody"));
	node_config_free(cfg);
	remove_tmp();
}

static void config_file_itself(void)
{
	struct node_config_error err;
	struct node_config *cfg;

	make_tmp();
	CU_ASSERT_STRING_EQUAL(load_file("absent.toml", &cfg, &err),
			       "absent.toml: No such file or directory");
	CU_ASSERT_EQUAL(mkdir(in_tmp("dir.toml"), 0700), 0);
	CU_ASSERT_STRING_EQUAL(load_file("dir.toml", &cfg, &err), "dir.toml: not a regular file");
	CU_ASSERT_EQUAL(mkfifo(in_tmp("fifo.toml"), 0600), 0);
	CU_ASSERT_STRING_EQUAL(load_file("fifo.toml", &cfg, &err), "fifo.toml: not a regular file");
	write_file("big.toml", "", 0600);
	CU_ASSERT_EQUAL(truncate(in_tmp("big.toml"), (off_t)1 << 30), 0);
	CU_ASSERT_STRING_EQUAL(load_file("big.toml", &cfg, &err), "big.toml: bigger than 64 MiB");
	write_file("open.toml", BASE, 0644);
	CU_ASSERT_STRING_EQUAL(load_file("open.toml", &cfg, &err), "");
	CU_ASSERT_EQUAL(err.warning_count, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.warnings[0], "open to everybody (mode 0644); run: chmod "
						       "600 "));
	node_config_free(cfg);
	CU_ASSERT_EQUAL(chmod(in_tmp("open.toml"), 0640), 0);
	CU_ASSERT_STRING_EQUAL(load_file("open.toml", &cfg, &err), "");
	CU_ASSERT_EQUAL(err.warning_count, 0);
	node_config_free(cfg);
	remove_tmp();
}

/* --- precedence ------------------------------------------------------------------------------ */

struct settings {
	const char *env[6];
	const char *set[6];
	const char *want; /* the error; NULL: loads */
};

static struct node_config *load_settings(const char *text, const struct settings *s)
{
	struct node_config_source src = {.path = "t.toml",
					 .text = text,
					 .text_len = strlen(text),
					 .env = s->env,
					 .set = s->set};
	struct node_config_error err;
	struct node_config *cfg = NULL;

	while (src.set_count < TT_ARRAY_LEN(s->set) && s->set[src.set_count])
		src.set_count++;
	node_config_load(&src, &err, &cfg);
	if (strcmp(err.text, s->want ? s->want : "") != 0)
		printf("  want %s\n  got  %s\n", s->want ? s->want : "success", err.text);
	CU_ASSERT(strcmp(err.text, s->want ? s->want : "") == 0);
	return cfg;
}

static void precedence(void)
{
	static const char file[] = BASE "listen_port = 1000\nmtu = 1400\nfwmark = 5\n"
					"[log]\nlevel = \"warn\"\n";
	struct settings s = {.env = {"PATH=/bin", "TALTUN_INTERFACE_LISTEN_PORT=2000",
				     "TALTUN_INTERFACE_MTU=auto", "TALTUN_LOG_LEVEL=debug"},
			     .set = {"interface.listen_port=3000"}};
	struct node_config *cfg = load_settings(file, &s);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	CU_ASSERT_EQUAL(cfg->listen_port, 3000);
	CU_ASSERT_EQUAL(cfg->mtu, 0);
	CU_ASSERT_EQUAL(cfg->fwmark, 5);
	CU_ASSERT_EQUAL(cfg->log_level, TT_LOG_DEBUG);
	CU_ASSERT_EQUAL(cfg->poll, NODE_POLL_ADAPTIVE);
	node_config_free(cfg);
}

static void settings_of_every_type(void)
{
	struct settings s = {.env = {"TALTUN_INTERFACE_ADDRESS=10.0.0.1/24, fd00::1/64",
				     "TALTUN_DATAPATH_FORWARD_BETWEEN_PEERS=true",
				     "TALTUN_AEAD=libsodium", "TALTUN_VECTORS=/somewhere"},
			     .set = {"interface.post_up=echo a, b", "interface.fwmark=0xca6c",
				     "interface.routes=10.0.0.0/8,fd00::/8", "interface.name=tt7",
				     "datapath.workers=auto", "log.format=json"}};
	struct node_config *cfg = load_settings(BASE "address = [\"192.0.2.1/24\"]\n", &s);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	CU_ASSERT_EQUAL_FATAL(cfg->addresses.count, 2);
	CU_ASSERT_EQUAL(node_config_cidr(cfg, cfg->addresses, 1)->ip.family, TT_FAMILY_V6);
	CU_ASSERT_TRUE(cfg->forward_between_peers);
	CU_ASSERT_EQUAL(cfg->aead, NODE_AEAD_LIBSODIUM);
	CU_ASSERT_EQUAL_FATAL(cfg->hooks[NODE_HOOK_POST_UP].count, 1);
	CU_ASSERT_STRING_EQUAL(node_config_line(cfg, cfg->hooks[NODE_HOOK_POST_UP], 0),
			       "echo a, b");
	CU_ASSERT_EQUAL(cfg->fwmark, 0xca6c);
	CU_ASSERT_EQUAL(cfg->routes_mode, NODE_ROUTES_LIST);
	CU_ASSERT_EQUAL(cfg->routes.count, 2);
	CU_ASSERT_STRING_EQUAL(cfg->name, "tt7");
	CU_ASSERT_EQUAL(cfg->log_format, TT_LOG_JSON);
	node_config_free(cfg);
}

static void full_name_beats_alias(void)
{
	struct settings s = {.env = {"TALTUN_DATAPATH_AEAD=ipsec-mb", "TALTUN_AEAD=libsodium"}};
	struct node_config *cfg = load_settings(BASE, &s);

	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	CU_ASSERT_EQUAL(cfg->aead, NODE_AEAD_IPSEC_MB);
	node_config_free(cfg);
}

static void wrong_settings(void)
{
	static const struct settings cases[] = {
		{.env = {"TALTUN_INTERFACE_LISTEN_PORT=65536"},
		 .want = "TALTUN_INTERFACE_LISTEN_PORT: listen_port is 65536; expected an integer "
			 "from 1 to 65535"},
		{.env = {"TALTUN_INTERFACE_LISTEN_PORT="},
		 .want = "TALTUN_INTERFACE_LISTEN_PORT: listen_port is \"\"; expected an integer "
			 "from 1 to 65535"},
		{.env = {"TALTUN_LOG_LEVL=info"},
		 .want = "TALTUN_LOG_LEVL: unknown key \"levl\" in [log]; did you mean \"level\"?"},
		{.env = {"TALTUN_DATAPATH_MODE=dpdk"},
		 .want = "TALTUN_DATAPATH_MODE: mode is \"dpdk\"; expected \"auto\", \"xdp\" or "
			 "\"socket\""},
		{.set = {"datapath.interfaces=eth0,eth 1"},
		 .want = "--set datapath.interfaces: interfaces holds \"eth 1\"; expected an "
			 "interface name as \"eth0\""},
		{.env = {"TALTUN_AEAD=rot13"},
		 .want = "TALTUN_AEAD: aead is \"rot13\"; expected \"auto\", \"avx512\", "
			 "\"ipsec-mb\" or "
			 "\"libsodium\""},
		{.env = {"TALTUN_INTERFACE_PRIVATE_KEY=oops"},
		 .want = "TALTUN_INTERFACE_PRIVATE_KEY: private_key has 4 characters; expected 44 "
			 "of base64"},
		{.set = {"interface.listen_port"},
		 .want = "--set interface.listen_port: expected section.key=value, as "
			 "log.level=debug"},
		{.set = {"listen_port=1"},
		 .want = "--set listen_port: expected section.key=value, as log.level=debug"},
		{.set = {"interface.listenport=1"},
		 .want = "--set interface.listenport: unknown key \"listenport\" in [interface]; "
			 "did you mean \"listen_port\"?"},
		{.set = {"peer.keepalive=1"},
		 .want = "--set peer.keepalive: peers are set in the file only"},
		{.set = {"hub.url=x"}, .want = "--set hub.url: unknown key \"url\" in [hub]"},
		{.set = {"mesh.url=x"},
		 .want = "--set mesh.url: unknown section; expected interface, datapath, log, "
			 "metrics, "
			 "hub or gateway"},
		{.set = {"metrics.listen=9586"},
		 .want = "--set metrics.listen: listen is \"9586\"; expected \"address:port\" as "
			 "\"127.0.0.1:9586\", \"unix:/path\" or \"off\""},
		{.set = {"gateway.masquerade=eth0,e/1"},
		 .want = "--set gateway.masquerade: masquerade holds \"e/1\"; expected an "
			 "interface name as \"eth0\""},
		{.set = {"datapath.forward_between_peers=yes"},
		 .want = "--set datapath.forward_between_peers: forward_between_peers is \"yes\"; "
			 "expected true or false"},
		{.set = {"interface.address=10.0.0.1/24,,"},
		 .want = "--set interface.address: address holds \"\"; expected a prefix as "
			 "\"10.77.0.0/24\" or \"fd77::1/64\""},
		{.set = {"interface.private_key=" KEY_A, "interface.private_key_file=x"},
		 .want = "--set interface.private_key_file: private_key and private_key_file are "
			 "both given; keep one"},
		{.set = {"interface.mtu=1000", "interface.address=fd00::1/64"},
		 .want = "--set interface.mtu: mtu is 1000; IPv6 needs at least 1280, and "
			 "fd00::1/64 is IPv6"},
		{.env = {"TALTUN_INTERFACE_PRIVATE_KEY_FILE=/dev/null"},
		 .want = "TALTUN_INTERFACE_PRIVATE_KEY_FILE: private_key_file: /dev/null is not a "
			 "regular file"},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++)
		CU_ASSERT_PTR_NULL(load_settings(BASE, &cases[i]));
}

/* A file's missing key file does not matter where the environment brings the key. */
static void key_from_environment(void)
{
	struct settings s = {.env = {"TALTUN_INTERFACE_PRIVATE_KEY=" KEY_B}};
	struct node_config *cfg =
		load_settings("[interface]\nname = \"a\"\nprivate_key_file = \"absent\"\n", &s);
	char key[TT_KEY_B64_LEN + 1];

	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	tt_key_to_b64(cfg->private_key, key);
	CU_ASSERT_STRING_EQUAL(key, KEY_B);
	node_config_free(cfg);
}

/* --- size ------------------------------------------------------------------------------------ */

static char *many_peers(unsigned peers, unsigned ips_each, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	fputs(BASE, f);
	for (unsigned i = 0; i < peers; i++) {
		uint8_t key[TT_KEY_LEN] = {1};
		char b64[TT_KEY_B64_LEN + 1];
		memcpy(key + 4, &i, sizeof(i));
		tt_key_to_b64(key, b64);
		fprintf(f,
			"\n[[peer]]\nname = \"peer-%u\"\npublic_key = \"%s\"\n"
			"endpoint = \"peer-%u.example.com:51820\"\nkeepalive = 25\nallowed_ips = [",
			i, b64, i);
		for (unsigned j = 0; j < ips_each; j++)
			fprintf(f, "%s\"10.%u.%u.%u/32\"", j ? ", " : "", j, i >> 8 & 255, i & 255);
		fputs("]\n", f);
	}
	fclose(f);
	return text;
}

static double load_seconds(unsigned peers, unsigned ips_each)
{
	struct timespec a, b;
	struct node_config_error err;
	struct node_config *cfg;
	size_t len;
	char *text = many_peers(peers, ips_each, &len);

	/* of the processor: how long the machine lets us wait says nothing */
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	int rc = load_text("many.toml", text, len, &err, &cfg);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL(cfg->peers.count, peers);
	CU_ASSERT_TRUE(node_config_valid(cfg, cfg->size));
	const struct node_config_peer *last = node_config_peer(cfg, peers - 1);
	CU_ASSERT_EQUAL(last->allowed_ips.count, ips_each);
	double seconds = (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
	printf("  %u peers, %u allowed IPs, %zu bytes: %.3f s, blob %u bytes\n", peers,
	       peers * ips_each, len, seconds, cfg->size);
	node_config_free(cfg);
	free(text);
	return seconds;
}

static void ten_thousand_peers(void)
{
	if (tt_test_is_light()) {
		load_seconds(1000, 1);
		tt_test_skip(2, "no times and no largest configuration in a light run");
		return;
	}
	/* the bound is loose: sanitizers are slow; 0.1 s is usual */
	CU_ASSERT(load_seconds(10000, 1) < 5.0);
	load_seconds(NODE_CONFIG_PEERS_MAX, 1);
}

static void too_many_peers(void)
{
	struct node_config_error err;
	struct node_config *cfg;
	size_t len;
	char *text = many_peers(NODE_CONFIG_PEERS_MAX + 1, 0, &len);

	CU_ASSERT_EQUAL(load_text("many.toml", text, len, &err, &cfg), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, ": more than 65536 peers"));
	free(text);
}

static void too_many_values(void)
{
	struct node_config_error err;
	struct node_config *cfg;
	size_t len = 9000000;
	char *text = malloc(len);

	memset(text, ',', len);
	memcpy(text, "a = [", 5);
	CU_ASSERT_EQUAL(load_text("m.toml", text, len, &err, &cfg), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, "m.toml:1:1: more than 2000000 values");
	memset(text, '#', len);
	CU_ASSERT_EQUAL(load_text("m.toml", text, len, &err, &cfg), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no private key"));
	free(text);
}

static void allowed_ips_of_one_peer(void)
{
	struct node_config_error err;
	struct node_config *cfg;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(BASE "[[peer]]\npublic_key = \"" KEY_B "\"\nallowed_ips = [", f);
	for (unsigned i = 0; i < 131072; i++)
		fprintf(f, "%s\"10.%u.%u.%u/32\"", i ? ", " : "", i >> 16, i >> 8 & 255, i & 255);
	fputs("]\n", f);
	fclose(f);
	CU_ASSERT_EQUAL_FATAL(load_text("m.toml", text, len, &err, &cfg), 0);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 0)->allowed_ips.count, 131072);
	CU_ASSERT_EQUAL(err.warning_count, 0);
	node_config_free(cfg);
	free(text);
}

/* --- the blob -------------------------------------------------------------------------------- */

static void blob_is_checked(void)
{
	struct node_config *cfg =
		load_ok(BASE "post_up = [\"true\"]\n[[peer]]\nname = \"a\"\npublic_key = \"" KEY_B
			     "\"\nallowed_ips = [\"10.0.0.0/8\"]\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(cfg);
	uint32_t size = cfg->size;

	/* position independent: a copy elsewhere reads the same */
	struct node_config *copy = malloc(size);
	memcpy(copy, cfg, size);
	CU_ASSERT_TRUE(node_config_valid(copy, size));
	CU_ASSERT_STRING_EQUAL(node_config_str(copy, node_config_peer(copy, 0)->name), "a");
	CU_ASSERT_FALSE(node_config_valid(copy, size - 1));
	CU_ASSERT_FALSE(node_config_valid(copy, 16));
	for (uint32_t at = 0; at < size; at += 4) {
		uint32_t old, wild = UINT32_MAX - 3;
		memcpy(&old, (char *)copy + at, sizeof(old));
		memcpy((char *)copy + at, &wild, sizeof(wild));
		if (node_config_valid(copy, size)) {
			FILE *null = fopen("/dev/null", "w");
			node_config_dump(copy, null);
			fclose(null);
		}
		memcpy((char *)copy + at, &old, sizeof(old));
	}
	CU_ASSERT_TRUE(node_config_valid(copy, size));
	free(copy);
	node_config_free(cfg);
	node_config_free(NULL);
}

static void errors_hold_no_keys(void)
{
	static const char text[] = "[interface]\nname = \"tt0\"\nprivate_key = \"" KEY_A "x\"\n";
	struct node_config_error err;
	struct node_config *cfg;

	CU_ASSERT_EQUAL(load_text("t.toml", text, strlen(text), &err, &cfg), -EINVAL);
	CU_ASSERT_PTR_NULL(strstr(err.text, "yAnz"));
}

TT_TESTS("config", {"valid files", valid_files}, {"case 38: invalid files", invalid_files},
	 {"case 38: key file modes", key_file_modes},
	 {"case 38: key file contents", key_file_contents},
	 {"preshared key file", preshared_key_file},
	 {"case 38: config file itself", config_file_itself}, {"precedence", precedence},
	 {"settings of every type", settings_of_every_type},
	 {"full name beats alias", full_name_beats_alias}, {"wrong settings", wrong_settings},
	 {"key from environment", key_from_environment}, {"10,000 peers", ten_thousand_peers},
	 {"too many peers", too_many_peers}, {"too many values", too_many_values},
	 {"131,072 allowed IPs", allowed_ips_of_one_peer}, {"blob is checked", blob_is_checked},
	 {"errors hold no keys", errors_hold_no_keys})
