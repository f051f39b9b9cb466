/* SPDX-License-Identifier: MIT
 *
 * genkey, pubkey, genpsk: the same keys, and the same text, as wg(8).
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/b64.h"
#include "crypto/mem.h"
#include "crypto/x25519.h"
#include "plat/clock.h"
#include "taltun/cli.h"

static int print_key(const uint8_t key[TT_KEY_LEN])
{
	char text[TT_KEY_B64_LEN + 1];

	tt_key_to_b64(key, text);
	bool ok = puts(text) >= 0 && fflush(stdout) == 0;
	crypto_wipe(text, sizeof(text));
	return ok ? CLI_OK : cli_fail(CLI_FAILED, "cannot write the key: is the disk full?");
}

static void warn_if_readable(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		fputs("taltun: warning: the file is readable by others; use umask 077\n", stderr);
}

static int draw_key(bool clamp)
{
	uint8_t key[TT_KEY_LEN];
	struct tt_rng rng = plat_rng();

	warn_if_readable();
	tt_rng_fill(&rng, key, sizeof(key));
	if (clamp)
		crypto_x25519_clamp(key);
	int status = print_key(key);
	crypto_wipe(key, sizeof(key));
	return status;
}

static int genkey(int argc, char **argv)
{
	return argc > 1 ? cli_usage(argv[0], "takes no arguments") : draw_key(true);
}

static int genpsk(int argc, char **argv)
{
	return argc > 1 ? cli_usage(argv[0], "takes no arguments") : draw_key(false);
}

static int pubkey(int argc, char **argv)
{
	char text[TT_KEY_B64_LEN + 64];
	uint8_t secret[TT_KEY_LEN], pub[TT_KEY_LEN];
	int status;

	if (argc > 1)
		return cli_usage(argv[0],
				 "takes no arguments; the private key comes on standard input");
	size_t len = fread(text, 1, sizeof(text), stdin);
	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	if (tt_key_from_b64(text, len, secret) != 0) {
		status = cli_fail(CLI_FAILED, "standard input is not a private key: expected 44 "
					      "characters of base64");
	} else {
		crypto_x25519_base(pub, secret);
		status = print_key(pub);
	}
	crypto_wipe(text, sizeof(text));
	crypto_wipe(secret, sizeof(secret));
	return status;
}

const struct cli_command cli_commands_keys[] = {
	{"genkey", "", "Print a new private key.",
	 "It is for one machine and stays there. Into a file that nobody else can read:\n"
	 "  (umask 077; taltun genkey > private.key)",
	 genkey},
	{"pubkey", "", "Print the public key of the private key on standard input.",
	 "It is what the other side configures.\n"
	 "  taltun pubkey < private.key",
	 pubkey},
	{"genpsk", "", "Print a new preshared key.",
	 "A secret that both sides of one pair of peers add to their keys, in preshared_key.",
	 genpsk},
	{NULL, NULL, NULL, NULL, NULL},
};
