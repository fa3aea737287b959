int main(void)
{
	int status;
#ifdef CLOBBERED
	__asm__ volatile("mov $7, %%r11; mov $39, %%eax; syscall; mov %%r11d, %0" : "=r"(status) :: "rax", "rcx", "r11");
#else
	__asm__ volatile("mov $7, %%r12; mov $39, %%eax; syscall; mov %%r12d, %0" : "=r"(status) :: "rax", "rcx", "r11", "r12");
#endif
	return status;
}
