/* SPDX-License-Identifier: MIT
 *
 * SaveConfig: the peers in force now (wg set may have changed them) go back into the wg-quick
 * file. Its [Interface] section stays as it is written.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "crypto/mem.h"
#include "taltun/cli.h"
#include "taltun/hooks.h"

static FILE *open_uapi(const char *name)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const char *dir = getenv("TALTUN_WG_DIR");
	int n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/%s.sock",
			 dir && *dir ? dir : "/var/run/wireguard", name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || n < 0 || (size_t)n >= sizeof(sa.sun_path) ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    send(fd, "get=1\n\n", 7, MSG_NOSIGNAL) != 7) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	return fdopen(fd, "r");
}

/* Everything before the first [Peer]. */
static void copy_interface_section(FILE *in, FILE *out)
{
	char line[4096];

	while (fgets(line, sizeof(line), in)) {
		if (strncasecmp(line + strspn(line, " \t"), "[Peer]", 6) == 0)
			break;
		fputs(line, out);
	}
	crypto_wipe(line, sizeof(line));
}

static void write_key(FILE *out, const char *name, const char *hex)
{
	uint8_t key[TT_KEY_LEN];
	char text[TT_KEY_B64_LEN + 1];

	if (tt_key_from_hex(hex, strlen(hex), key) == 0 && !crypto_is_zero(key, sizeof(key))) {
		tt_key_to_b64(key, text);
		fprintf(out, "%s = %s\n", name, text);
	}
	crypto_wipe(key, sizeof(key));
	crypto_wipe(text, sizeof(text));
}

/* One line of the UAPI reply as wg-quick writes it. */
static void write_line(FILE *out, const char *key, const char *value)
{
	if (strcmp(key, "public_key") == 0) {
		fputs("\n[Peer]\n", out);
		write_key(out, "PublicKey", value);
	} else if (strcmp(key, "preshared_key") == 0) {
		write_key(out, "PresharedKey", value);
	} else if (strcmp(key, "allowed_ip") == 0) {
		fprintf(out, "AllowedIPs = %s\n", value);
	} else if (strcmp(key, "endpoint") == 0) {
		fprintf(out, "Endpoint = %s\n", value);
	} else if (strcmp(key, "persistent_keepalive_interval") == 0 && strcmp(value, "0") != 0) {
		fprintf(out, "PersistentKeepalive = %s\n", value);
	}
}

/* False where the reply was cut short: then the file must not be replaced. */
static bool copy_peers(FILE *uapi, FILE *out)
{
	char line[4096];
	bool whole = false;

	while (fgets(line, sizeof(line), uapi)) {
		line[strcspn(line, "\n")] = 0;
		if (!*line)
			break;
		char *eq = strchr(line, '=');
		if (!eq)
			break;
		*eq = 0;
		if (strcmp(line, "errno") == 0)
			whole = strcmp(eq + 1, "0") == 0;
		else
			write_line(out, line, eq + 1);
	}
	crypto_wipe(line, sizeof(line));
	return whole;
}

int hooks_save(const struct node_config *cfg, const char *path)
{
	char temp[PATH_MAX];
	int n = snprintf(temp, sizeof(temp), "%s.tmp", path);

	if (n < 0 || (size_t)n >= sizeof(temp))
		return -1;
	umask(077);
	FILE *in = fopen(path, "r"), *uapi = open_uapi(cfg->name), *out = fopen(temp, "w");
	bool ok = in && uapi && out;
	if (ok) {
		copy_interface_section(in, out);
		ok = copy_peers(uapi, out) && fflush(out) == 0 && fsync(fileno(out)) == 0;
	}
	if (in)
		fclose(in);
	if (uapi)
		fclose(uapi);
	if (out)
		fclose(out);
	/* beside the file and renamed: a full disk leaves the old one whole */
	if (ok && rename(temp, path) == 0)
		return 0;
	unlink(temp);
	cli_fail(CLI_FAILED, "cannot save %s: %s", path, strerror(errno));
	return -1;
}
