/*
 * A system without Unix sockets, to be preloaded: where the file system has none, or as systemd's RestrictAddressFamilies=
 * leaves it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/socket.h>

int socket(int domain, int type, int protocol)
{
    int (*next)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
    if (domain == AF_UNIX) {
        errno = EAFNOSUPPORT;
        return -1;
    }
    return next(domain, type, protocol);
}
