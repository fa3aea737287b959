#include <unistd.h>

int main(void)
{
	const char *kernel = (const char *)0xffffffff80200000;
#ifdef READS_ITSELF
	char copy = *(volatile const char *)kernel;
	write(1, &copy, 1);
#else
	write(1, kernel, 1);
#endif
}
