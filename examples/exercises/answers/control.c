#include <unistd.h>

int main(void)
{
	for (volatile long i = 0; i < 100000000; i++) {
#ifdef CALLS
		if (i % 1000000 == 0)
			getppid();
#endif
	}
	write(1, "done\n", 5);
}
