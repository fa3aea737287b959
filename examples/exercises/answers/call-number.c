#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
#ifdef KNOWN
	long result = syscall(39);
#else
	long result = syscall(9999);
#endif
	printf("%ld, errno %d\n", result, errno);
}
