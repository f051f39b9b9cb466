/* SPDX-License-Identifier: MIT
 *
 * Facts with a name before them, and lists: wrapped at the width of the terminal, what goes on
 * below the beginning of the first line. Words are never broken, since keys are copied.
 */
#ifndef TT_CLI_WRAP_H
#define TT_CLI_WRAP_H

/*
 * Prints `head` and then the words of `text`; following lines are indented by `indent`, which is
 * where text begins in the first (head is padded to it). Colours (cli_colour()) pass and take no
 * room; whatever else could do something to the terminal is made printable. width 0: no bound.
 */
void cli_wrap(const char *head, const char *text, unsigned indent, unsigned width);
/* "  NAME         TEXT", wrapped at the width of stdout. */
void cli_fact(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
