#include <sys/mman.h>

int main(void)
{
	enum { PAGE = 4096, SIZE = 32 * PAGE };
	char *memory = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef ONE_PAGE
	for (int at = 0; at < PAGE; at++)
#else
	for (int at = 0; at < SIZE; at += PAGE)
#endif
		memory[at] = 1;
	return munmap(memory, SIZE);
}
