int main(void)
{
#ifdef OPEN_GATE
	__asm__("int $3");
#else
	__asm__("int $0x20");
#endif
}
