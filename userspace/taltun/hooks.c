/* SPDX-License-Identifier: MIT */
#include "taltun/hooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "taltun/cli.h"

#define HOOKS_DNS_LABEL_MAX 64

/* line with every "%i" replaced; malloc'd */
static char *expand(const char *line, const char *name)
{
	size_t cap = strlen(line) * 8 + 1, n = 0;
	char *out = malloc(cap);

	for (const char *p = line; out && *p; p++) {
		if (p[0] == '%' && p[1] == 'i') {
			n += (size_t)snprintf(out + n, cap - n, "%s", name);
			p++;
		} else {
			out[n++] = *p;
		}
	}
	if (out)
		out[n] = 0;
	return out;
}

static int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_shell(const char *line)
{
	/* people write these lines for wg-quick, which is bash */
	const char *shell = access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";

	fprintf(stderr, "[#] %s\n", line);
	pid_t pid = fork();
	if (pid == 0) {
		execl(shell, shell, "-c", line, (char *)NULL);
		_exit(127);
	}
	return pid < 0 ? 127 : wait_status(pid);
}

int hooks_run(const struct node_config *cfg, enum node_hook hook)
{
	for (uint32_t i = 0; i < cfg->hooks[hook].count; i++) {
		char *line = expand(node_config_line(cfg, cfg->hooks[hook], i), cfg->name);
		int status = line ? run_shell(line) : 127;
		free(line);
		if (status)
			return cli_fail(status, "%s of %s ended with status %d",
					node_hook_name(hook), cfg->name, status);
	}
	return 0;
}

static bool in_path(const char *program)
{
	char line[128];

	snprintf(line, sizeof(line), "command -v %s >/dev/null 2>&1", program);
	return system(line) == 0;
}

bool hooks_possible(const struct node_config *cfg)
{
	if (!cfg->dns.count && !cfg->dns_search.count)
		return true;
	if (in_path("resolvconf"))
		return true;
	cli_fail(CLI_FAILED,
		 "DNS is set for %s, but resolvconf(8) is not installed: install "
		 "openresolv or resolvconf, or remove the DNS line",
		 cfg->name);
	return false;
}

/* True where line is letters, digits and hyphens, and a star behind them; the star is cut off. */
static bool is_kind(char *line)
{
	size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
	bool kind = n > 0 && strcmp(line + n, "*\n") == 0;

	if (kind)
		line[n] = 0;
	return kind;
}

/*
 * What resolvconf(8) is to call the interface. Debian's own knows neither metrics nor -x: name
 * servers are in the order of the patterns in this file, and the first that is a plain word and a
 * star, "tun*", comes before those of any network card. Others do not have the file.
 */
static void dns_label(const char *name, char buf[HOOKS_DNS_LABEL_MAX])
{
	FILE *f = fopen("/etc/resolvconf/interface-order", "re");
	char line[32];

	snprintf(buf, HOOKS_DNS_LABEL_MAX, "%s", name);
	while (f && fgets(line, sizeof(line), f))
		if (is_kind(line)) {
			snprintf(buf, HOOKS_DNS_LABEL_MAX, "%s.%s", line, name);
			break;
		}
	if (f)
		fclose(f);
}

int hooks_dns_set(const struct node_config *cfg)
{
	char command[64 + HOOKS_DNS_LABEL_MAX], label[HOOKS_DNS_LABEL_MAX], text[TT_IP_TEXT_MAX];

	if (!cfg->dns.count && !cfg->dns_search.count)
		return 0;
	dns_label(cfg->name, label);
	snprintf(command, sizeof(command), "resolvconf -a %s -m 0 -x", label);
	FILE *p = popen(command, "w");
	if (!p)
		return cli_fail(CLI_FAILED, "cannot run resolvconf: %s", strerror(errno));
	for (uint32_t i = 0; i < cfg->dns.count; i++)
		fprintf(p, "nameserver %s\n", tt_ip_format(node_config_dns(cfg, i), text));
	for (uint32_t i = 0; i < cfg->dns_search.count; i++)
		fprintf(p, "%s%s%s", i ? " " : "search ", node_config_line(cfg, cfg->dns_search, i),
			i + 1 == cfg->dns_search.count ? "\n" : "");
	int status = pclose(p);
	return status == 0 ? 0 : cli_fail(CLI_FAILED, "resolvconf refused the DNS servers");
}

static int dns_unset(const char *name)
{
	char command[64 + HOOKS_DNS_LABEL_MAX], label[HOOKS_DNS_LABEL_MAX];

	dns_label(name, label);
	snprintf(command, sizeof(command), "resolvconf -d %s -f", label);
	return system(command) == 0 ? 0 : -1;
}

int hooks_dns_unset(const struct node_config *cfg)
{
	if (!cfg->dns.count && !cfg->dns_search.count)
		return 0;
	return dns_unset(cfg->name);
}

void hooks_dns_forget(const char *name)
{
	if (in_path("resolvconf"))
		(void)dns_unset(name);
}
