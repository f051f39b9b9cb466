/* SPDX-License-Identifier: MIT
 *
 * The host's firewall through nft(8): a script on its standard input is one transaction.
 */
#ifndef TT_PLATFORM_NFT_H
#define TT_PLATFORM_NFT_H

#include <stddef.h>

/*
 * Runs `nft -f -`, found by PATH, and waits for its end (5 s at most). reason gets what it said
 * last, cut to cap, "" where all went well. 0; -ENOENT: no such program; -EPROTO: it refused;
 * -ETIMEDOUT; or -errno.
 */
int nft_run(const char *script, char *reason, size_t cap);
/*
 * `nft list table inet TABLE`; *text is malloc'd. Errors as above; a table that is not there is
 * -EPROTO, with "No such file or directory" in reason.
 */
int nft_list(const char *table, char **text, char *reason, size_t cap);

#endif
