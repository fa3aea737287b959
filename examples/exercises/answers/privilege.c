int main(void)
{
	/* A far return pops RIP and CS. 0x8 is the kernel's code segment. */
#ifdef OWN_SEGMENT
	__asm__ volatile("mov %%cs, %%eax; push %%rax; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::: "rax", "memory");
#else
	__asm__ volatile("push $0x8; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::: "rax", "memory");
#endif
}
