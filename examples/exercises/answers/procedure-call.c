/* rt_sigprocmask(SIG_BLOCK, NULL, &old, 8) */
int main(void)
{
	unsigned long old;
	long result;
#ifdef FOURTH_IN_RCX
	__asm__ volatile("mov $8, %%ecx; xor %%r10d, %%r10d; syscall"
#else
	__asm__ volatile("mov $8, %%r10d; syscall"
#endif
		: "=a"(result) : "a"(14), "D"(0), "S"(0), "d"(&old) : "rcx", "r10", "r11", "memory");
	return result != 0;
}
