#include <stdlib.h>

__attribute__((noinline)) static int inner(void)
{
#ifdef RETURNS
	return 5;
#else
	exit(5);
#endif
}

int main(void)
{
	inner();
	return 0;
}
