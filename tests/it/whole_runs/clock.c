/* A wall clock that can be set for ccc alone: loaded into it by LD_PRELOAD, it adds to CLOCK_REALTIME the seconds that
   stand in the file named by STEPPED_CLOCK. In every other program it changes nothing. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *offset_file;

__attribute__((constructor)) static void begin(void) {
    char program[4096];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0) return;
    program[length] = 0;
    const char *name = strrchr(program, '/');
    if (name && strcmp(name + 1, "ccc") == 0) offset_file = getenv("STEPPED_CLOCK");
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (result != 0 || clock != CLOCK_REALTIME || !offset_file) return result;
    FILE *file = fopen(offset_file, "re");
    long seconds = 0;
    if (file && fscanf(file, "%ld", &seconds) == 1) time->tv_sec += seconds;
    if (file) fclose(file);
    return 0;
}
