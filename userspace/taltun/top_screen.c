/* SPDX-License-Identifier: MIT */
#include "taltun/top_screen.h"

#define NCURSES_WIDECHAR 1
#include <ncurses.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* How long the rest of an arrow key may take after its first byte. */
#define ESCAPE_MS 25

static SCREEN *screen;

const char *top_screen_refusal(void)
{
	const char *term = getenv("TERM");

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return "this is no terminal";
	if (!term || !*term)
		return "TERM is not set";
	return strcmp(term, "dumb") == 0 ? "this terminal (TERM=dumb) has no screen to draw on"
					 : NULL;
}

static void set_colours(void)
{
	if (getenv("NO_COLOR") || !has_colors())
		return;
	start_color();
	use_default_colors();
	init_pair(TOP_YELLOW, COLOR_YELLOW, -1);
	init_pair(TOP_RED, COLOR_RED, -1);
}

bool top_screen_open(void)
{
	set_escdelay(ESCAPE_MS);
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return false;
	set_colours();
	cbreak();
	noecho();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	leaveok(stdscr, TRUE);
	curs_set(0);
	return true;
}

void top_screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

void top_screen_size(unsigned *rows, unsigned *columns)
{
	*rows = (unsigned)getmaxy(stdscr);
	*columns = (unsigned)getmaxx(stdscr);
}

void top_screen_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col)
		resizeterm(size.ws_row, size.ws_col);
	clearok(stdscr, TRUE);
}

static attr_t attr_of(enum top_attr a)
{
	switch (a) {
	case TOP_PLAIN:
		return A_NORMAL;
	case TOP_BOLD:
		return A_BOLD;
	case TOP_DIM:
		return A_DIM;
	case TOP_TITLES:
		return A_REVERSE;
	case TOP_YELLOW:
	case TOP_RED:
		return (attr_t)COLOR_PAIR(a);
	}
	return A_NORMAL;
}

void top_screen_line(void *ctx, unsigned row, enum top_attr attr, const char *text)
{
	(void)ctx;
	move((int)row, 0);
	clrtoeol();
	attrset((int)attr_of(attr));
	addstr(text);
	/* the line of titles is one bar */
	if (attr == TOP_TITLES && getcury(stdscr) == (int)row)
		hline(' ' | A_REVERSE, getmaxx(stdscr));
	attrset(A_NORMAL);
}

void top_screen_show(unsigned lines)
{
	if ((int)lines < getmaxy(stdscr)) {
		move((int)lines, 0);
		clrtobot();
	}
	refresh();
}

enum top_key top_screen_key(void)
{
	static const struct {
		int key;
		enum top_key means;
	} keys[] = {
		{ERR, TOP_KEY_NONE},
		{'q', TOP_KEY_QUIT},
		{'Q', TOP_KEY_QUIT},
		{'r', TOP_KEY_RATE},
		{'n', TOP_KEY_NAME},
		{'h', TOP_KEY_HANDSHAKE},
		{'p', TOP_KEY_PAUSE},
		{' ', TOP_KEY_PAUSE},
		{'k', TOP_KEY_UP},
		{'j', TOP_KEY_DOWN},
		{KEY_UP, TOP_KEY_UP},
		{KEY_DOWN, TOP_KEY_DOWN},
		{KEY_PPAGE, TOP_KEY_PAGE_UP},
		{KEY_NPAGE, TOP_KEY_PAGE_DOWN},
		{KEY_HOME, TOP_KEY_HOME},
		{KEY_END, TOP_KEY_END},
		{'g', TOP_KEY_HOME},
		{'G', TOP_KEY_END},
		{'L' - '@', TOP_KEY_REDRAW},
	};
	int key = getch();

	for (unsigned i = 0; i < TT_ARRAY_LEN(keys); i++)
		if (keys[i].key == key)
			return keys[i].means;
	return TOP_KEY_OTHER;
}
