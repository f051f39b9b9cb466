/* SPDX-License-Identifier: MIT
 *
 * "did you mean": the word that somebody who misspelt it meant. For messages only: a word costs its
 * length squared.
 */
#ifndef TT_BASE_SUGGEST_H
#define TT_BASE_SUGGEST_H

#include "base/types.h"

/* The candidate nearest to `name`, the case of ASCII letters aside, or NULL where none is near.
 * candidates end with NULL. A name past 40 bytes is near to what is a part of it, and nothing else.
 */
const char *tt_suggest(const char *name, const char *const *candidates);

#endif
