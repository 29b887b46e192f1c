/* rights.h - one descriptor with one byte over a Unix socket. */
#ifndef RIGHTS_H
#define RIGHTS_H

#include <string.h>
#include <sys/socket.h>

/* 0, or -1 with errno. */
static inline int rights_send(int to, int what) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {0};
    struct iovec iov = {"x", 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof u.room};
    u.head = (struct cmsghdr){
        .cmsg_len = CMSG_LEN(sizeof what), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.head), &what, sizeof what);
    return sendmsg(to, &m, 0) == 1 ? 0 : -1;
}

/* The descriptor, or -1. */
static inline int rights_receive(int from) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } u = {0};
    char byte;
    int got;
    struct iovec iov = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.room, .msg_controllen = sizeof u.room};
    if (recvmsg(from, &m, 0) != 1 || !m.msg_controllen)
        return -1;
    memcpy(&got, CMSG_DATA(&u.head), sizeof got);
    return got;
}

#endif
