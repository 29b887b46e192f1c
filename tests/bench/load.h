/* load.h - what the parts of the load program share: the options of a run, and links, which are TCP
 * connections with or without OpenSSL on top. */
#ifndef LOAD_H
#define LOAD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum load_mode { LOAD_BLOCK, LOAD_LEVEL, LOAD_EDGE };

/* Constant after main has read the command line. */
struct load_options {
    const char *host; /* dotted */
    uint16_t port;
    enum load_mode mode;
    const char *tls; /* directory of PEM files: the program speaks mutual TLS itself */
    bool resume;     /* the program's own TLS: go on with the last session */
    bool spread;     /* each connection to the next address after host */
    bool sink;       /* server: swallow, answer one byte for every `bytes` */
    size_t size;     /* of one message */
    size_t bytes;    /* of one stream */
    int connections;
    double seconds;
    const char *path; /* of HTTP requests */
};
extern struct load_options load;

struct link {
    int fd;
    SSL *ssl;    /* NULL: plain */
    size_t seen; /* these two: free for the user of the link */
    bool met;
};

/* Ends the program with a message when ok is false. */
void must(bool ok, const char *what);
uint64_t now_ns(void);
/* User and system time of this process so far. */
double cpu_seconds(void);

/* Both end the program when they fail. link_open blocks until the connection, and its handshake, is done;
 * then the descriptor becomes non-blocking unless the mode is LOAD_BLOCK. */
struct link link_open(void);
struct link link_take(int listener);
int link_listen(void);
/* Bytes, 0 at the end of the stream, -1 when there is nothing now. */
ssize_t link_read(struct link *l, void *buf, size_t n);
/* Everything goes out. */
void link_write(struct link *l, const void *buf, size_t n);
/* Keeps the session for the next link_open if the options say so. */
void link_close(struct link *l);

int load_server(void);
int load_pingpong(void);
int load_connect(void);
int load_stream(void);
int load_http(void);
int load_idle(void);
int load_pipe(void);
int load_spawn(int count, char **words);

#endif
