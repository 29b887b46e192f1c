/* mesh_uring.c - asks liburing for a ring and prints what two calls for it return. Compiled with LATE,
 * the library comes by dlopen. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

struct io_uring {
    char room[1024];
};
struct io_uring_params {
    char room[512];
};
int io_uring_queue_init(unsigned, struct io_uring *, unsigned);
int io_uring_queue_init_params(unsigned, struct io_uring *, struct io_uring_params *);

typedef int init(unsigned, struct io_uring *, unsigned);
typedef int init_params(unsigned, struct io_uring *, struct io_uring_params *);

int main(void) {
    static struct io_uring one, two;
    static struct io_uring_params params;
#ifdef LATE
    void *library = dlopen("liburing.so.2", RTLD_NOW | RTLD_GLOBAL);
    init *first;
    init_params *second;
    void *symbol = library ? dlsym(RTLD_DEFAULT, "io_uring_queue_init") : NULL;
    memcpy(&first, &symbol, sizeof first);
    symbol = library ? dlsym(RTLD_DEFAULT, "io_uring_queue_init_params") : NULL;
    memcpy(&second, &symbol, sizeof second);
    if (!first || !second)
        return 2;
#else
    init *first = io_uring_queue_init;
    init_params *second = io_uring_queue_init_params;
#endif
    printf("%d %d\n", first(8, &one, 0), second(8, &two, &params));
    return 0;
}
