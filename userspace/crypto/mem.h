/* SPDX-License-Identifier: MIT
 *
 * What secrets need from memory. Run time depends on the length only, never on the bytes.
 */
#ifndef TT_CRYPTO_MEM_H
#define TT_CRYPTO_MEM_H

#include "base/types.h"

/* True where the len bytes are the same. */
bool crypto_equal(const void *a, const void *b, size_t len);

/* True where all len bytes are zero. */
bool crypto_is_zero(const void *p, size_t len);

/* Zeroes memory that is not looked at again; the compiler cannot leave it out. */
void crypto_wipe(void *p, size_t len);

#endif
