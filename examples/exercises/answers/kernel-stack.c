int main(void)
{
	/* A loop without a stack: RSP is 0. */
	__asm__ volatile(
		"mov %%rsp, %%r12; xor %%esp, %%esp; mov $300000000, %%rcx;"
#ifdef PUSHES
		"push %%rcx;"
#endif
		"1: dec %%rcx; jnz 1b; mov %%r12, %%rsp" ::: "rcx", "r12", "cc");
}
