/* The right solution of the exercise, and ten wrong ones: -DNO_WAIT and so on, as README.md lists them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void produce(int to)
{
	for (int item = 1; item <= 3; item++) {
		char text[] = "item 0\n";
		text[5] = '0' + item;
#ifdef BYTE_BY_BYTE
		for (size_t at = 0; at < strlen(text); at++)
			write(to, text + at, 1);
#else
		write(to, text, strlen(text));
#endif
	}
}

static int consume(int from)
{
	char text[256];
	int items = 0;
	ssize_t size;
	while ((size = read(from, text, sizeof text)) > 0)
		for (ssize_t at = 0; at < size; at++)
			items += text[at] == '\n';
	return items;
}

static void wait_for(pid_t child)
{
#ifdef POLLS
	while (waitpid(child, NULL, WNOHANG) == 0)
		;
#elif !defined NO_WAIT
	waitpid(child, NULL, 0);
#endif
}

int main(void)
{
	int ends[2];
	if (pipe(ends) != 0)
		return 1;
#ifdef NO_CHILD
	pid_t child = -1;
	produce(ends[1]);
#else
	pid_t child = fork();
	if (child == 0) {
		close(ends[0]);
		produce(ends[1]);
#ifdef POLLS
		close(ends[1]);
		usleep(200000);
#endif
#ifdef WRONG_STATUS
		return 1;
#else
		return 0;
#endif
	}
#ifdef TWO_CHILDREN
	if (fork() == 0)
		return 0;
#endif
#endif
#ifndef KEEPS_WRITE_END
	close(ends[1]);
#endif
#ifdef WAITS_FIRST
	wait_for(child);
#endif
	int items = consume(ends[0]);
#ifndef WAITS_FIRST
	wait_for(child);
#endif
#ifdef NULL_POINTER
	items += *(volatile int *)0;
#endif
#ifdef WRONG_COUNT
	items--;
#endif
	printf("%d items\n", items);
	return 0;
}
