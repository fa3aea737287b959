/* Prints how many primes are below 1000. */
#include <stdio.h>

int main(void)
{
	int primes = 0;
	for (int number = 2; number < 1000; number++) {
		int divisor = 2;
		while (number % divisor != 0)
			divisor++;
		primes += divisor == number;
	}
	printf("%d primes\n", primes);
	return 0;
}
