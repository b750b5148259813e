/* Counts the calls by which a process changes files below a folder, and makes one of them fail, all
 * from one on fail, or the process die there. Loaded with LD_PRELOAD; armed by `faults_arm`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, FAIL, FULL, KILL };
static char root[4096];
static volatile long mode, at, count;

void faults_arm(const char *folder, long how, long number) {
    strncpy(root, folder, sizeof root - 1);
    count = 0;
    at = number;
    mode = how;
}

long faults_count(void) { return count; }

static int below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static __thread int removing;  /* a full disk lets files be removed */

static int struck(const char *path) {
    if (mode == FULL && removing) return 0;
    if (!root[0] || !path || !below(path)) return 0;
    long number = __sync_add_and_fetch(&count, 1);
    if (mode == KILL && number == at) kill(getpid(), SIGKILL);
    if ((mode == FAIL && number == at) || (mode == FULL && number >= at)) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

static int struck_fd(int fd) {
    char link[64], path[4096];
    if (!root[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return struck(path);
}

static int struck_at(int folder, const char *path) {
    char whole[8192], link[64];
    if (!root[0] || !path) return 0;
    if (path[0] == '/' || folder == AT_FDCWD) return struck(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    ssize_t length = readlink(link, whole, 4096);
    if (length < 0) return 0;
    snprintf(whole + length, sizeof whole - length, "/%s", path);
    return struck(whole);
}

static int gone(const char *path) {
    removing = 1;
    int hit = struck(path);
    removing = 0;
    return hit;
}

#define REAL(type, name, ...) type (*real)(__VA_ARGS__) = dlsym(RTLD_NEXT, name)

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return struck_fd(fd) ? -1 : real(fd, data, size);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t where) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    return struck_fd(fd) ? -1 : real(fd, data, size, where);
}
ssize_t writev(int fd, const struct iovec *parts, int number) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    return struck_fd(fd) ? -1 : real(fd, parts, number);
}
ssize_t sendfile64(int out, int in, off64_t *where, size_t size) {
    REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    return struck_fd(out) ? -1 : real(out, in, where, size);
}
ssize_t copy_file_range(int in, off64_t *a, int out, off64_t *b, size_t size, unsigned flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    return struck_fd(out) ? -1 : real(in, a, out, b, size, flags);
}
int fsync(int fd) {
    REAL(int, "fsync", int);
    return struck_fd(fd) ? -1 : real(fd);
}
int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    return struck(to) ? -1 : real(from, to);
}
int mkdir(const char *path, mode_t rights) {
    REAL(int, "mkdir", const char *, mode_t);
    return struck(path) ? -1 : real(path, rights);
}
int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    return gone(path) ? -1 : real(path);
}
int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    removing = 1;
    int hit = struck_at(folder, path);
    removing = 0;
    return hit ? -1 : real(folder, path, flags);
}
int rmdir(const char *path) {
    REAL(int, "rmdir", const char *);
    return gone(path) ? -1 : real(path);
}
int open64(const char *path, int flags, ...) {
    REAL(int, "open64", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t rights = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return flags & O_CREAT && struck(path) ? -1 : real(path, flags, rights);
}
int open(const char *path, int flags, ...) {
    REAL(int, "open", const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    mode_t rights = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return flags & O_CREAT && struck(path) ? -1 : real(path, flags, rights);
}
