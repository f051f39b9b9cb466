/* SPDX-License-Identifier: MIT
 *
 * Files of a hub: certificates and keys as PEM. Blocking; before the loop runs, or on SIGHUP. 0 or
 * -errno, with a line in the log that names the file.
 */
#ifndef TT_HUB_FILE_H
#define TT_HUB_FILE_H

#include "tls/cert.h"

int hub_file_read_cert(const char *path, struct tls_der *out);
/* Refuses a file that others may read. "-" is what standard input was opened on. Wipe *out after
 * use. */
int hub_file_read_key(const char *path, struct tls_der *out);
/* Whole contents, zero-terminated, allocated. max: longest accepted. */
int hub_file_read(const char *path, size_t max, char **out, size_t *len);
/* A new file of that mode, whole or not at all; -EEXIST where it is there and `replace` is not
 * said. On the disk when it returns. */
int hub_file_write(const char *path, const void *data, size_t len, unsigned mode, bool replace);
/* The same for one certificate or key. */
int hub_file_write_cert(const char *path, const struct tls_der *cert, bool replace);
int hub_file_write_key(const char *path, const struct tls_der *key, bool replace);

#endif
