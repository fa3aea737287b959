// Matrices in double precision, Mandelbrot's set, and the game of life.
#include <stdio.h>
#include <string.h>
enum { N = 60 };
static double a[N][N], b[N][N], c[N][N];
int main() {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            a[i][j] = i + j * 0.5, b[i][j] = i * 0.25 - j;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++)
                c[i][j] += a[i][k] * b[k][j];
    double trace = 0;
    for (int i = 0; i < N; i++)
        trace += c[i][i];
    printf("%.3f\n", trace);
    for (int y = -6; y <= 6; y++) {
        for (int x = -20; x <= 10; x++) {
            double re = 0, im = 0, cr = x / 10.0, ci = y / 5.0;
            int steps = 0;
            for (; steps < 50 && re * re + im * im < 4; steps++) {
                double next = re * re - im * im + cr;
                im = 2 * re * im + ci;
                re = next;
            }
            putchar(steps == 50 ? '#' : steps > 5 ? '+' : ' ');
        }
        putchar('\n');
    }
    char board[20][20] = {0}, next[20][20];
    board[1][2] = board[2][3] = board[3][1] = board[3][2] = board[3][3] = 1;
    for (int round = 0; round < 40; round++) {
        for (int y = 0; y < 20; y++)
            for (int x = 0; x < 20; x++) {
                int near = -board[y][x];
                for (int d = 0; d < 9; d++)
                    near += board[(y + d / 3 + 19) % 20][(x + d % 3 + 19) % 20];
                next[y][x] = near == 3 || (near == 2 && board[y][x]);
            }
        memcpy(board, next, sizeof board);
    }
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++)
            if (board[y][x])
                printf("%d,%d ", y, x);
    putchar('\n');
    return 0;
}
