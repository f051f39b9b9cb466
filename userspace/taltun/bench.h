/* SPDX-License-Identifier: MIT
 *
 * What `taltun bench` measures, one function each. argv[0] is the name of the measurement; exit
 * codes as in cli.h.
 */
#ifndef TT_TALTUN_BENCH_H
#define TT_TALTUN_BENCH_H

#include "taltun/cli.h"

int bench_crypto(int argc, char **argv);
int bench_datapath(int argc, char **argv);
int bench_xdp(int argc, char **argv);

/* Makes it the backend of what is measured next; false, and says so, where this machine has not. */
bool bench_backend_select(const char *backend);
/* Prints `result` where it was asked for as JSON, and releases it. Returns CLI_OK. */
int bench_finish(json_t *result, bool json);
/*
 * Takes "--NAME N" out of argv, min <= N <= max. false: it is there and wrong, and was reported;
 * *value stays where it is not there.
 */
bool bench_take_number(int *argc, char **argv, const char *flag, unsigned min, unsigned max,
		       unsigned *value);
/* Takes "--NAME TEXT" out of argv; false where the text is missing, which was reported. */
bool bench_take_text(int *argc, char **argv, const char *flag, const char **value);

#endif
