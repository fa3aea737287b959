int main(void)
{
#ifdef NOT_CANONICAL
	((void (*)(void))0x800000000000)();
#else
	((void (*)(void))0xffffffff80200000)();
#endif
}
