/* SPDX-License-Identifier: MIT
 *
 * wg-quick files: what they mean, what is refused, and the round trips through TOML and back.
 */
#include <errno.h>
#include <stdlib.h>
#include "node/config_load.h"
#include "node/config_wgquick.h"
#include "tt_test.h"

#define KEY_A "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define KEY_B "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define BASE  "[Interface]\nPrivateKey = " KEY_A "\n"
#define PEER  "[Peer]\nPublicKey = " KEY_B "\n"

static const char full[] = "# a gateway\n"
			   "[Interface]\n"
			   "PrivateKey = " KEY_A "\n"
			   "Address = 10.77.0.1/24, fd77::1/64\n"
			   "Address = 192.0.2.1/32 # one more\n"
			   "ListenPort = 51820\n"
			   "FwMark = 0xca6c\n"
			   "MTU = 1380\n"
			   "Table = 1234\n"
			   "DNS = 10.77.0.1, corp.example.com\n"
			   "DNS = fd77::1, example\n"
			   "PreUp = true\n"
			   "PostUp = iptables -A FORWARD -i %i -j ACCEPT; echo \"a, b\"\n"
			   "PostUp = echo two \\o/\n"
			   "PreDown = echo pre-down\n"
			   "PostDown = iptables -D FORWARD -i %i -j ACCEPT\n"
			   "SaveConfig = true\n"
			   "\n"
			   "[Peer]\n"
			   "PublicKey = " KEY_B "\n"
			   "PresharedKey = " KEY_C "\n"
			   "AllowedIPs = 10.77.0.2/32,192.168.50.0/24\n"
			   "AllowedIPs = fd77::2/128\n"
			   "Endpoint = vpn.example.com:51820\n"
			   "PersistentKeepalive = 25\n"
			   "\n"
			   "[Peer]\n"
			   "PublicKey = " KEY_C "\n"
			   "Endpoint = [2001:db8::1]:1\n"
			   "AllowedIPs = 0.0.0.0/0, ::/0\n";

static int load(const char *path, const char *text, struct node_config_error *err,
		struct node_config **cfg)
{
	struct node_config_source src = {.path = path, .text = text, .text_len = strlen(text)};

	*cfg = NULL;
	return node_config_load(&src, err, cfg);
}

static struct node_config *load_ok(const char *path, const char *text)
{
	struct node_config_error err;
	struct node_config *cfg;

	if (load(path, text, &err, &cfg)) {
		printf("  %s\n", err.text);
		CU_FAIL_FATAL("the text loads");
	}
	return cfg;
}

static char *text_of(const struct node_config *cfg,
		     int (*write)(const struct node_config *, FILE *))
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	CU_ASSERT_EQUAL(write(cfg, f), 0);
	fclose(f);
	return text;
}

static int dump(const struct node_config *cfg, FILE *out)
{
	node_config_dump(cfg, out);
	return 0;
}

static const char full_dump[] =
	"interface.name = wg0\n"
	"interface.private_key = (set)\n"
	"interface.address = 10.77.0.1/24\n"
	"interface.address = fd77::1/64\n"
	"interface.address = 192.0.2.1/32\n"
	"interface.listen_port = 51820\n"
	"interface.mtu = 1380\n"
	"interface.routes = allowed-ips\n"
	"interface.fwmark = 51820\n"
	"interface.table = 1234\n"
	"interface.dns = 10.77.0.1\n"
	"interface.dns = fd77::1\n"
	"interface.dns_search = corp.example.com\n"
	"interface.dns_search = example\n"
	"interface.pre_up = true\n"
	"interface.post_up = iptables -A FORWARD -i %i -j ACCEPT; echo \"a, b\"\n"
	"interface.post_up = echo two \\o/\n"
	"interface.pre_down = echo pre-down\n"
	"interface.post_down = iptables -D FORWARD -i %i -j ACCEPT\n"
	"interface.save_config = true\n"
	"datapath.mode = auto\n"
	"datapath.queues = auto\n"
	"datapath.umem_mb = 256\n"
	"datapath.unknown_index = drop\n"
	"datapath.workers = auto\n"
	"datapath.poll = adaptive\n"
	"datapath.aead = auto\n"
	"datapath.forward_between_peers = true\n"
	"log.level = info\n"
	"log.format = logfmt\n"
	"peer " KEY_B "\n"
	"  name = (none)\n"
	"  preshared_key = (set)\n"
	"  endpoint = vpn.example.com port 51820 (name)\n"
	"  allowed_ips = 10.77.0.2/32\n"
	"  allowed_ips = 192.168.50.0/24\n"
	"  allowed_ips = fd77::2/128\n"
	"  keepalive = 25\n"
	"peer " KEY_C "\n"
	"  name = (none)\n"
	"  preshared_key = (none)\n"
	"  endpoint = [2001:db8::1]:1\n"
	"  allowed_ips = 0.0.0.0/0\n"
	"  allowed_ips = ::/0\n"
	"  keepalive = off\n";

static void everything(void)
{
	struct node_config *cfg = load_ok("/etc/wireguard/wg0.conf", full);
	char *got = text_of(cfg, dump);

	if (strcmp(got, full_dump) != 0)
		printf("%s", got);
	CU_ASSERT(strcmp(got, full_dump) == 0);
	CU_ASSERT_TRUE(node_config_valid(cfg, cfg->size));
	free(got);
	node_config_free(cfg);
}

/* CRLF, odd case, no spaces, BOM, a section opened twice: all as wg-quick takes them. */
static void as_people_write_it(void)
{
	struct node_config *cfg =
		load_ok("wg0.conf", "\xef\xbb\xbf[interface]\r\nPRIVATEKEY=" KEY_A "\r\n"
				    "address=10.0.0.1/24\r\n[PEER]\r\npublickey = " KEY_B "\r\n"
				    "allowedips = 10.0.0.0/24\r\n  [Interface]  \r\n"
				    "Address = 10.0.1.1/24\r\nListenPort = 0\r\nFwMark = off\r\n");

	CU_ASSERT_EQUAL(cfg->addresses.count, 2);
	CU_ASSERT_EQUAL(cfg->peers.count, 1);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 0)->allowed_ips.count, 1);
	CU_ASSERT_EQUAL(cfg->listen_port, 0);
	CU_ASSERT_EQUAL(cfg->fwmark, 0);
	node_config_free(cfg);
	cfg = load_ok("wg0.conf", BASE "Table = off\n" PEER "PersistentKeepalive = off\n"
				       "AllowedIPs =\n");
	CU_ASSERT_EQUAL(cfg->routes_mode, NODE_ROUTES_NONE);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 0)->keepalive, 0);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 0)->allowed_ips.count, 0);
	node_config_free(cfg);
	cfg = load_ok("wg0.conf", BASE "Table = auto\nSaveConfig = false\n");
	CU_ASSERT_EQUAL(cfg->routes_mode, NODE_ROUTES_ALLOWED_IPS);
	CU_ASSERT_EQUAL(cfg->table, 0);
	CU_ASSERT_FALSE(cfg->save_config);
	node_config_free(cfg);
}

static void refused(void)
{
	static const struct {
		const char *text;
		const char *want;
	} cases[] = {
		{"", "wg0.conf:1:1: no private key; expected PrivateKey in [Interface]"},
		{"[Interface]\nAddress = 10.0.0.1/24\n",
		 "wg0.conf:1: no private key; expected PrivateKey in [Interface]"},
		{"PrivateKey = " KEY_A "\n",
		 "wg0.conf:1: \"PrivateKey\" stands before [Interface] or [Peer]"},
		{BASE "[Peers]\n",
		 "wg0.conf:3: unknown section \"[Peers]\"; expected [Interface] or [Peer]"},
		{BASE "Foo = 1\n", "wg0.conf:3: unknown key \"Foo\" in [Interface]"},
		{BASE "Jc = 4\n", "wg0.conf:3: unknown key \"Jc\" in [Interface]"},
		{BASE "Adress = 10.0.0.1/24\n",
		 "wg0.conf:3: unknown key \"Adress\" in [Interface]; "
		 "did you mean \"Address\"?"},
		{BASE "AllowedIPs = 10.0.0.0/8\n", "wg0.conf:3: unknown key \"AllowedIPs\" in "
						   "[Interface]; it belongs in [Peer]"},
		{BASE PEER "MTU = 1420\n",
		 "wg0.conf:5: unknown key \"MTU\" in [Peer]; it belongs in [Interface]"},
		{BASE "PrivateKey = " KEY_B "\n", "wg0.conf:3: PrivateKey is given twice"},
		{BASE "just words\n",
		 "wg0.conf:3: the line is no setting; expected \"Key = value\""},
		{BASE KEY_B "\n", "wg0.conf:3: the line is no setting; expected \"Key = value\""},
		{BASE "= 5\n", "wg0.conf:3: the line is no setting; expected \"Key = value\""},
		{"[Interface]\nPrivateKey = short\n",
		 "wg0.conf:2: PrivateKey has 5 characters; expected 44 of base64"},
		{BASE "ListenPort = 65536\n",
		 "wg0.conf:3: ListenPort is 65536; expected an integer from 1 to 65535"},
		{BASE "ListenPort = five\n",
		 "wg0.conf:3: ListenPort is \"five\"; expected an integer from 1 to 65535"},
		{BASE "ListenPort =\n",
		 "wg0.conf:3: ListenPort is \"\"; expected an integer from 1 to 65535"},
		{BASE "MTU = 100\n",
		 "wg0.conf:3: MTU is 100; expected an integer from 576 to 65535 or \"auto\""},
		{BASE "FwMark = 0x1ffffffff\n",
		 "wg0.conf:3: FwMark is 8589934591; expected an integer from 0 to 4294967295"},
		{BASE "Table = main\n",
		 "wg0.conf:3: Table is \"main\"; expected an integer from 1 to 4294967295 or "
		 "\"auto\""},
		{BASE "SaveConfig = yes\n",
		 "wg0.conf:3: SaveConfig is \"yes\"; expected true or false"},
		{BASE "Address = 10.0.0.1/33\n",
		 "wg0.conf:3: Address holds \"10.0.0.1/33\"; expected a prefix as "
		 "\"10.77.0.0/24\" or \"fd77::1/64\""},
		{BASE "DNS = 1.1.1.1, not a name\n",
		 "wg0.conf:3: DNS holds \"not a name\"; expected a domain as \"example.com\""},
		{BASE "PostUp =\n",
		 "wg0.conf:3: PostUp holds \"\"; expected a shell command on one line"},
		{BASE PEER "Endpoint = 10.0.0.1\n",
		 "wg0.conf:5: Endpoint is \"10.0.0.1\"; expected "
		 "\"host:port\", as \"vpn.example.com:51820\""},
		{BASE PEER "PersistentKeepalive = 65536\n",
		 "wg0.conf:5: PersistentKeepalive is 65536; expected an integer from 0 to 65535"},
		{BASE "\n[Peer]\nAllowedIPs = 10.0.0.0/8\n", "wg0.conf:4: peer has no PublicKey"},
		{BASE PEER PEER, "wg0.conf:6: public_key is that of the peer at line 3 already"},
		{BASE "Address = fd00::1/64\nMTU = 1279\n",
		 "wg0.conf:4: mtu is 1279; IPv6 needs at least 1280, and fd00::1/64 is IPv6"},
		{BASE "PostUp = \xff\n", "wg0.conf:3: not valid UTF-8"},
	};

	for (size_t i = 0; i < TT_ARRAY_LEN(cases); i++) {
		struct node_config_error err;
		struct node_config *cfg;
		int rc = load("wg0.conf", cases[i].text, &err, &cfg);
		if (rc != -EINVAL || strcmp(err.text, cases[i].want) != 0)
			printf("  case %zu: %d\n  want %s\n  got  %s\n", i, rc, cases[i].want,
			       err.text);
		CU_ASSERT_EQUAL(rc, -EINVAL);
		CU_ASSERT(strcmp(err.text, cases[i].want) == 0);
	}
}

static void names(void)
{
	struct node_config_source nul = {
		.path = "wg0.conf", .text = BASE "\0", .text_len = sizeof(BASE)};
	struct node_config_error err;
	struct node_config *cfg;

	CU_ASSERT_EQUAL(load("a name too long for it.conf", BASE, &err, &cfg), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "no interface name"));
	cfg = load_ok("dir.with.dots/home-wg.conf", BASE);
	CU_ASSERT_STRING_EQUAL(cfg->name, "home-wg");
	node_config_free(cfg);
	CU_ASSERT_EQUAL(node_config_load(&nul, &err, &cfg), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.text, "wg0.conf:3: holds a NUL character");
}

static void later_peer_wins(void)
{
	struct node_config_error err;
	struct node_config *cfg;

	CU_ASSERT_EQUAL_FATAL(load("wg0.conf",
				   BASE PEER "AllowedIPs = 10.0.0.0/8, 10.9.0.1/16\n"
					     "[Peer]\nPublicKey = " KEY_C
					     "\nAllowedIPs = 10.0.0.0/8\n",
				   &err, &cfg),
			      0);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 0)->allowed_ips.count, 1);
	CU_ASSERT_EQUAL(node_config_peer(cfg, 1)->allowed_ips.count, 1);
	CU_ASSERT_EQUAL_FATAL(err.warning_count, 2);
	CU_ASSERT_STRING_EQUAL(err.warnings[0], "wg0.conf:5: AllowedIPs holds \"10.9.0.1/16\" with "
						"host bits; using 10.9.0.0/16");
	CU_ASSERT_STRING_EQUAL(err.warnings[1],
			       "wg0.conf:8: 10.0.0.0/8 moves here from the peer that had it at "
			       "line 5");
	node_config_free(cfg);
}

/* --- round trips ----------------------------------------------------------------------------- */

static bool same_keys(const struct node_config *a, const struct node_config *b)
{
	bool same = memcmp(a->private_key, b->private_key, TT_KEY_LEN) == 0 &&
		    a->peers.count == b->peers.count;

	for (uint32_t i = 0; same && i < a->peers.count; i++)
		same = memcmp(node_config_peer(a, i)->preshared_key,
			      node_config_peer(b, i)->preshared_key, TT_KEY_LEN) == 0;
	return same;
}

static void expect_same(struct node_config *a, const char *path, const char *text)
{
	struct node_config *b = load_ok(path, text);

	a->save_config = b->save_config; /* TOML cannot say it */
	char *x = text_of(a, dump), *y = text_of(b, dump);
	if (strcmp(x, y) != 0)
		printf("%s---\n%s---\n%s", text, x, y);
	CU_ASSERT(strcmp(x, y) == 0);
	CU_ASSERT_TRUE(same_keys(a, b));
	free(x);
	free(y);
	node_config_free(b);
}

static void to_toml_and_back(void)
{
	struct node_config *cfg = load_ok("wg0.conf", full);
	char *text = text_of(cfg, node_config_to_toml);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "private_key_file"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "# SaveConfig = true is left out"));
	expect_same(cfg, "other.toml", text);
	free(text);
	node_config_free(cfg);
}

static void to_wgquick_and_back(void)
{
	struct node_config *cfg = load_ok("wg0.conf", full);
	char *text = text_of(cfg, node_config_to_wgquick);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "SaveConfig = true\n"));
	expect_same(cfg, "wg0.conf", text);
	free(text);
	node_config_free(cfg);
	cfg = load_ok("wg0.conf", BASE "Table = off\n");
	text = text_of(cfg, node_config_to_wgquick);
	expect_same(cfg, "wg0.conf", text);
	free(text);
	node_config_free(cfg);
}

/* Text that needs escapes, lists of routes, names: TOML to TOML. */
static void toml_to_toml(void)
{
	static const char toml[] =
		"[interface]\nname = \"tt0\"\nprivate_key = \"" KEY_A "\"\n"
		"routes = [\"10.0.0.0/8\", \"fd00::/8\"]\ntable = 7\n"
		"post_up = ['echo \"quoted\" \\back', \"tab\\there\", 'd\xc3\xa9j\xc3\xa0 vu']\n"
		"[datapath]\nmode = \"xdp\"\ninterfaces = [\"eth0\"]\nqueues = 2\n"
		"umem_mb = 64\nunknown_index = \"pass\"\nworkers = 3\npoll = \"busy\"\naead = "
		"\"libsodium\"\n"
		"[log]\nlevel = \"debug\"\nformat = \"json\"\n"
		"[metrics]\nlisten = 'unix:/run/a \"b\"'\nper_peer = false\n"
		"[[peer]]\nname = 'B\xc3\xbcro \"Nord\" \\1'\npublic_key = \"" KEY_B "\"\n"
		"endpoint = \"[fe80::1%eth0]:51820\"\n";
	struct node_config *cfg = load_ok("t.toml", toml);
	char *text = text_of(cfg, node_config_to_toml);

	expect_same(cfg, "t.toml", text);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "\n[metrics]\nlisten = \"unix:/run/a \\\"b\\\"\"\nper_peer"));
	free(text);
	node_config_free(cfg);
}

static void full_disk(void)
{
	struct node_config *cfg = load_ok("wg0.conf", full);
	FILE *f = fopen("/dev/full", "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_EQUAL(node_config_to_toml(cfg, f), -EIO);
	fclose(f);
	node_config_free(cfg);
}

TT_TESTS("config_wgquick", {"everything", everything}, {"as people write it", as_people_write_it},
	 {"refused", refused}, {"names", names}, {"later peer wins", later_peer_wins},
	 {"to TOML and back", to_toml_and_back}, {"to wg-quick and back", to_wgquick_and_back},
	 {"TOML to TOML", toml_to_toml}, {"full disk", full_disk})
