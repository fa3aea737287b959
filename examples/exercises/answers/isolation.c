#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

int main(int argc, char **argv)
{
	int *place = mmap((void *)0x10000000, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	*place = atoi(argv[1]);
#ifndef NO_YIELD
	for (int i = 0; i < 10; i++)
		sched_yield();
#endif
	return *place;
}
