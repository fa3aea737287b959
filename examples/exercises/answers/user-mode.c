int main(void)
{
	unsigned short cs;
	__asm__("mov %%cs, %0" : "=r"(cs));
#ifdef WHOLE_SELECTOR
	return cs;
#else
	return cs & 3;
#endif
}
