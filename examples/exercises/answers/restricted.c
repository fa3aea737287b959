#include <unistd.h>

int main(void)
{
	write(1, "now: hlt\n", 9);
#ifdef NULL_POINTER
	*(volatile int *)0 = 1;
#else
	__asm__("hlt");
#endif
}
