/* signal_exit.c - leaves by _exit from a signal's handler, whatever the main program was about to do.
 *
 *   signal_exit ADDRESS PORT COUNT    COUNT children; prints how many ended with status 7
 *
 * A child connects, writes a byte and closes until its alarm rings: from one child to the next a little
 * later. A child that has not ended after 20 s is killed and counts as hung. Knows nothing of TLS. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in address;

static void leave(int number) {
    (void)number;
    _exit(7);
}

static void once(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    void *some = malloc(5000);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address) && write(fd, "x", 1) < 0)
        perror("write");
    free(some);
    close(fd);
}

static void work(int number) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, leave);
    for (int i = 0; i < number % 4; i++) /* the first ones are slower */
        once();
    struct itimerval soon = {.it_value = {0, 100 + number * 37 % 4000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    for (;;)
        once();
}

/* True: it ended with status 7. */
static int ended_well(pid_t pid) {
    int status = 0;
    for (int i = 0; i < 2000; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 7;
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    fprintf(stderr, "%d hangs\n", (int)pid);
    if (getenv("SIGNAL_EXIT_STOP"))
        pause();
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 64;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &address.sin_addr);
    int good = 0, count = atoi(argv[3]);
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (!pid)
            work(i);
        good += ended_well(pid);
    }
    printf("%d of %d\n", good, count);
    return 0;
}
