/* SPDX-License-Identifier: MIT
 *
 * Runs a fuzzer's entry point over kept inputs, without libFuzzer: each argument is a file or a
 * folder. An input passes by not crashing; last line "replay NAME: N passed, 0 failed, 0 skipped".
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned passed, failed;
static char running[PATH_MAX];

static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	if (!f || fstat(fileno(f), &st)) {
		perror(path);
		failed++;
		if (f)
			fclose(f);
		return;
	}
	size_t size = (size_t)st.st_size;
	/* exactly its size: a sanitizer then sees a read past the end */
	uint8_t *data = malloc(size ? size : 1);
	if (data && fread(data, 1, size, f) == size) {
		snprintf(running, sizeof(running), "%s", path);
		LLVMFuzzerTestOneInput(data, size);
		passed++;
	} else {
		fprintf(stderr, "%s: cannot be read\n", path);
		failed++;
	}
	free(data);
	fclose(f);
}

static void replay(const char *path);

static void replay_folder(const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, NULL, alphasort);

	if (n < 0) {
		perror(path);
		failed++;
		return;
	}
	for (int i = 0; i < n; i++) {
		char child[PATH_MAX];
		if (list[i]->d_name[0] != '.') {
			snprintf(child, sizeof(child), "%s/%s", path, list[i]->d_name);
			replay(child);
		}
		free(list[i]);
	}
	free(list);
}

static void replay(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		replay_folder(path);
	else
		replay_file(path);
}

/* A crash names its input. */
static void at_crash(void)
{
	if (running[0])
		fprintf(stderr, "while replaying %s\n", running);
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];

	if (strncmp(name, "replay_", 7) == 0)
		name += 7;
	if (strncmp(name, "fuzz_", 5) == 0)
		name += 5;
	atexit(at_crash);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	running[0] = '\0';
	printf("replay %s: %u passed, %u failed, 0 skipped\n", name, passed, failed);
	return failed ? 1 : 0;
}
