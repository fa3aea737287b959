int main(void)
{
	/* Bit 9 of RFLAGS is IF. */
#ifdef CLI
	__asm__ volatile("cli");
#else
	__asm__ volatile("pushfq; andq $~0x200, (%%rsp); popfq" ::: "memory", "cc");
#endif
	for (volatile long i = 0; i < 100000000; i++)
		;
}
