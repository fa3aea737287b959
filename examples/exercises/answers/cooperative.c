#include <sched.h>

int main(void)
{
	for (int part = 0; part < 10; part++) {
		for (volatile int i = 0; i < 100000; i++)
			;
#ifndef SELFISH
		sched_yield();
#endif
	}
}
