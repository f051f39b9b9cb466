/* SPDX-License-Identifier: MIT
 *
 * bench: what this machine can do. Finds the measurement and calls it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/types.h"
#include "crypto/aead.h"
#include "taltun/bench.h"

static const struct measurement {
	const char *name;
	int (*run)(int argc, char **argv);
} measurements[] = {
	{"crypto", bench_crypto},
	{"datapath", bench_datapath},
	{"xdp", bench_xdp},
};

bool bench_backend_select(const char *backend)
{
	const char *chosen;

	if (crypto_aead_select(backend, &chosen) == CRYPTO_AEAD_CHOSEN)
		return true;
	fprintf(stderr, "taltun: %s: not on this machine\n", backend);
	return false;
}

int bench_finish(json_t *result, bool json)
{
	if (json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(result);
	return CLI_OK;
}

bool bench_take_text(int *argc, char **argv, const char *flag, const char **value)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) != 0)
			continue;
		if (i + 1 == *argc) {
			cli_usage("bench", "%s wants a value", flag);
			return false;
		}
		*value = argv[i + 1];
		memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		*argc -= 2;
		return true;
	}
	return true;
}

bool bench_take_number(int *argc, char **argv, const char *flag, unsigned min, unsigned max,
		       unsigned *value)
{
	const char *text = NULL;
	char *end;

	if (!bench_take_text(argc, argv, flag, &text))
		return false;
	if (!text)
		return true;
	errno = 0;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || errno || n < min || n > max) {
		cli_usage("bench", "%s wants a number from %u to %u, not \"%s\"", flag, min, max,
			  text);
		return false;
	}
	*value = (unsigned)n;
	return true;
}

static int bench(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < TT_ARRAY_LEN(measurements); i++)
		if (strcmp(argv[1], measurements[i].name) == 0)
			return measurements[i].run(argc - 1, argv + 1);
	return cli_usage(argv[0], "takes what to measure: crypto, datapath or xdp");
}

const struct cli_command cli_commands_bench[] = {
	{"bench", "crypto|datapath|xdp [ARGUMENT]... [--json]", "Measure what this machine can do.",
	 "crypto [--json]\n"
	 "  ns per packet and Gb/s of one core, for each backend, packet size and burst length.\n"
	 "\n"
	 "datapath [--backend NAME] [--bytes N] [--batch N] [--sessions N] [--workers N] [--ms N]\n"
	 "         [--json]\n"
	 "  ns per packet of the whole way through a worker between ports in memory, from the "
	 "wire\n"
	 "  to the TUN (in) and back (out), and what that is of the bare encryption. Options name\n"
	 "  one case; without, a table. --ms: time for each figure (40).\n"
	 "\n"
	 "xdp NIC [--peer [NETNS:]NIC] [--ms N] [--json]\n"
	 "  Packets per second by AF_XDP alone: sent from NIC, to itself, or to the other end of "
	 "its\n"
	 "  wire, where both ends are of this machine, and received there. Needs root.",
	 bench},
	{NULL, NULL, NULL, NULL, NULL},
};
