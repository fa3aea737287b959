int main(void)
{
#ifdef NO_DIVISION
	__builtin_trap(); /* what a compiler may make of 100 / 0 */
#else
	volatile int zero = 0;
	return 100 / zero;
#endif
}
