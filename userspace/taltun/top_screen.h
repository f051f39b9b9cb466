/* SPDX-License-Identifier: MIT
 *
 * The terminal of `taltun top`. By ncursesw, which knows the keys and sequences of every terminal
 * and sends only what changed; we send no sequence of our own. One at a time.
 */
#ifndef TT_TALTUN_TOP_SCREEN_H
#define TT_TALTUN_TOP_SCREEN_H

#include "taltun/top_view.h"

enum top_key {
	TOP_KEY_NONE,
	TOP_KEY_OTHER,
	TOP_KEY_QUIT,
	TOP_KEY_RATE,
	TOP_KEY_NAME,
	TOP_KEY_HANDSHAKE,
	TOP_KEY_PAUSE,
	TOP_KEY_UP,
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
	TOP_KEY_REDRAW,
};

/* NULL, or why stdin and stdout are no terminal that can be used. */
const char *top_screen_refusal(void);
/* Enters the alternate screen; false: the terminal cannot be used after all. */
bool top_screen_open(void);
/* Puts the terminal back as it was. Also where it is not open. */
void top_screen_close(void);
/* Rows and columns there are now. */
void top_screen_size(unsigned *rows, unsigned *columns);
/* The terminal has another size: everything is drawn anew. */
void top_screen_resize(void);
/* As top_view_draw() gives them; then top_screen_show() with the number of lines. */
void top_screen_line(void *ctx, unsigned row, enum top_attr attr, const char *text);
void top_screen_show(unsigned lines);
/* What was typed, until TOP_KEY_NONE; does not wait. */
enum top_key top_screen_key(void);

#endif
