/* Loaded into a program with LD_PRELOAD, stands between it and the C library's file calls: counts them, lets one of them fail,
 * or kills the program before it.
 *
 *   FAULT=CALL:N:WHAT     the N-th call (from 1) of that name; "changing" counts all calls that change something on disk
 *                         WHAT: a number is the errno; "part": one byte only; "end": 0 bytes; "kill": SIGKILL before it
 *   FAULT_LACKS=A,B       what the file system cannot do: exchange, noreplace, link, flock
 *   FAULT_COUNTS=FILE     gets "CALL COUNT" lines when the program ends
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE /* the headers would define what is defined here */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

/* clang-format off */
#define CALLS(X)                                                                                                 \
  X(open) X(read) X(pread) X(write) X(pwrite) X(fsync) X(sync_file_range) X(fallocate) X(ftruncate) X(rename)     \
  X(renameat) X(renameat2) X(link) X(linkat) X(symlink) X(unlink) X(unlinkat) X(mkdir) X(close) X(stat) X(lstat)  \
  X(fstat) X(fstatat) X(readdir) X(fdopendir) X(realpath) X(readlink) X(fadvise) X(flock) X(chmod) X(fchmod)      \
  X(chown) X(fchown) X(utimensat) X(getxattr) X(fsetxattr) X(pthread_create) X(changing)
/* clang-format on */
#define ENUM(name) k_##name,
#define NAME(name) #name,
enum call { CALLS(ENUM) k_count };
static const char* const names[] = {CALLS(NAME)};

enum what { w_errno, w_part, w_end, w_kill };
static int counts[k_count];
static int wanted_call = -1, wanted_number, wanted_errno;
static enum what wanted_what;

static void read_wish(void) {
  static int is_read;
  char call[32], what[16];
  const char* wish;
  int i;
  if (is_read) return;
  is_read = 1;
  wish = getenv("FAULT");
  if (wish == NULL || sscanf(wish, "%31[^:]:%d:%15s", call, &wanted_number, what) != 3) return;
  for (i = 0; i < k_count; ++i) {
    if (strcmp(call, names[i]) == 0) wanted_call = i;
  }
  wanted_errno = atoi(what);
  wanted_what = strcmp(what, "part") == 0   ? w_part
                : strcmp(what, "end") == 0  ? w_end
                : strcmp(what, "kill") == 0 ? w_kill
                                            : w_errno;
}

static int lacks(const char* feature) {
  const char* all = getenv("FAULT_LACKS");
  return all != NULL && strstr(all, feature) != NULL;
}

static int is_turn(enum call call) {
  read_wish();
  return __atomic_add_fetch(&counts[call], 1, __ATOMIC_SEQ_CST) == wanted_number && (int)call == wanted_call;
}

/* Whether this call is the one that fails. */
static int meets(enum call call, int is_changing) {
  const int is_wanted = is_turn(call);
  const int is_wanted_change = is_changing && is_turn(k_changing);
  if (!is_wanted && !is_wanted_change) return 0;
  if (wanted_what == w_kill) syscall(SYS_kill, getpid(), SIGKILL);
  errno = wanted_errno;
  return 1;
}

/* Of a transfer that is met: how many bytes are left of it; below 0: none, it is done with that result. */
static ssize_t cut(size_t size) {
  if (wanted_what == w_end) return -2;
  if (wanted_what == w_part) return size > 0;
  return -1;
}

__attribute__((destructor)) static void write_counts(void) {
  const char* path = getenv("FAULT_COUNTS");
  char text[2048];
  int size = 0, i, file;
  if (path == NULL) return;
  for (i = 0; i < k_count; ++i)
    size += snprintf(text + size, sizeof text - (size_t)size, "%s %d\n", names[i], counts[i]);
  file = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (syscall(SYS_write, file, text, size) < 0) return;
  syscall(SYS_close, file);
}

#define TRANSFER(call, is_changing, real)     \
  if (meets(call, is_changing)) {             \
    const ssize_t left = cut(size);           \
    if (left < 0) return left == -2 ? 0 : -1; \
    size = (size_t)left;                      \
  }                                           \
  return real

// LibTorch asks these twice what the machine is, and stops the process where only the second answer fails, or one of them
// cannot be read.
static int is_the_machine(const char* path) {
  static const char kProcessors[] = "/sys/devices/system/cpu/";
  return strncmp(path, kProcessors, sizeof kProcessors - 1) == 0;
}

static int tells_the_machine(int file) {
  char name[32], path[64] = "";
  snprintf(name, sizeof name, "/proc/self/fd/%d", file);
  return syscall(SYS_readlink, name, path, sizeof path - 1) > 0 && is_the_machine(path);
}

static ssize_t read_some(int file, void* into, size_t size) {
  if (tells_the_machine(file)) return syscall(SYS_read, file, into, size);
  TRANSFER(k_read, 0, syscall(SYS_read, file, into, size));
}
ssize_t read(int file, void* into, size_t size) { return read_some(file, into, size); }
ssize_t __read_chk(int file, void* into, size_t size, size_t room) {
  (void)room;
  return read_some(file, into, size);
}
static ssize_t pread_some(int file, void* into, size_t size, off_t at) {
  TRANSFER(k_pread, 0, syscall(SYS_pread64, file, into, size, at));
}
ssize_t pread(int file, void* into, size_t size, off_t at) { return pread_some(file, into, size, at); }
ssize_t pread64(int file, void* into, size_t size, off64_t at) { return pread_some(file, into, size, at); }
ssize_t __pread_chk(int file, void* into, size_t size, off_t at, size_t room) {
  (void)room;
  return pread_some(file, into, size, at);
}
ssize_t __pread64_chk(int file, void* into, size_t size, off64_t at, size_t room) {
  (void)room;
  return pread_some(file, into, size, at);
}
ssize_t write(int file, const void* from, size_t size) {
  if (file <= STDERR_FILENO) return syscall(SYS_write, file, from, size);
  TRANSFER(k_write, 1, syscall(SYS_write, file, from, size));
}
static ssize_t pwrite_some(int file, const void* from, size_t size, off_t at) {
  TRANSFER(k_pwrite, 1, syscall(SYS_pwrite64, file, from, size, at));
}
ssize_t pwrite(int file, const void* from, size_t size, off_t at) { return pwrite_some(file, from, size, at); }
ssize_t pwrite64(int file, const void* from, size_t size, off64_t at) { return pwrite_some(file, from, size, at); }

static int open_file(int folder, const char* path, int flags, mode_t mode) {
  if (!is_the_machine(path) && meets(k_open, (flags & (O_CREAT | O_TRUNC)) != 0)) return -1;
  return (int)syscall(SYS_openat, folder, path, flags, mode);
}
static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; }
#define OPEN(name, parameters, last, folder)     \
  int name parameters {                          \
    mode_t mode;                                 \
    va_list rest;                                \
    va_start(rest, last);                        \
    mode = mode_of(flags, rest);                 \
    va_end(rest);                                \
    return open_file(folder, path, flags, mode); \
  }
OPEN(open, (const char* path, int flags, ...), flags, AT_FDCWD)
OPEN(open64, (const char* path, int flags, ...), flags, AT_FDCWD)
OPEN(openat, (int folder, const char* path, int flags, ...), flags, folder)
OPEN(openat64, (int folder, const char* path, int flags, ...), flags, folder)
int __open_2(const char* path, int flags) { return open_file(AT_FDCWD, path, flags, 0); }
int __openat_2(int folder, const char* path, int flags) { return open_file(folder, path, flags, 0); }
int close(int file) {
  const int is_met = meets(k_close, 0), error = errno, result = (int)syscall(SYS_close, file);
  if (!is_met) return result;
  errno = error;
  return -1;
}

#define CALL(call, is_changing, number, ...) return meets(call, is_changing) ? -1 : (int)syscall(number, __VA_ARGS__)
int fsync(int file) { CALL(k_fsync, 1, SYS_fsync, file); }
int sync_file_range(int file, off64_t at, off64_t size, unsigned flags) {
  CALL(k_sync_file_range, 0, SYS_sync_file_range, file, at, size, flags);
}
int fallocate(int file, int mode, off_t at, off_t size) { CALL(k_fallocate, 1, SYS_fallocate, file, mode, at, size); }
int fallocate64(int file, int mode, off64_t at, off64_t size) {
  CALL(k_fallocate, 1, SYS_fallocate, file, mode, at, size);
}
int ftruncate(int file, off_t size) { CALL(k_ftruncate, 1, SYS_ftruncate, file, size); }
int ftruncate64(int file, off64_t size) { CALL(k_ftruncate, 1, SYS_ftruncate, file, size); }
int rename(const char* from, const char* to) { CALL(k_rename, 1, SYS_rename, from, to); }
int renameat(int a, const char* from, int b, const char* to) { CALL(k_renameat, 1, SYS_renameat, a, from, b, to); }
int renameat2(int a, const char* from, int b, const char* to, unsigned flags) {
  if (((flags & RENAME_EXCHANGE) && lacks("exchange")) || ((flags & RENAME_NOREPLACE) && lacks("noreplace"))) {
    errno = EINVAL;
    return -1;
  }
  CALL(k_renameat2, 1, SYS_renameat2, a, from, b, to, flags);
}
int link(const char* from, const char* to) {
  if (lacks("link")) return errno = EPERM, -1;
  CALL(k_link, 1, SYS_link, from, to);
}
int linkat(int a, const char* from, int b, const char* to, int flags) {
  if (lacks("link")) return errno = EPERM, -1;
  CALL(k_linkat, 1, SYS_linkat, a, from, b, to, flags);
}
int symlink(const char* to, const char* path) { CALL(k_symlink, 1, SYS_symlink, to, path); }
int unlink(const char* path) { CALL(k_unlink, 1, SYS_unlink, path); }
int unlinkat(int folder, const char* path, int flags) { CALL(k_unlinkat, 1, SYS_unlinkat, folder, path, flags); }
int mkdir(const char* path, mode_t mode) { CALL(k_mkdir, 1, SYS_mkdir, path, mode); }
int flock(int file, int operation) {
  if (lacks("flock")) return errno = ENOLCK, -1;
  CALL(k_flock, 0, SYS_flock, file, operation);
}
int chmod(const char* path, mode_t mode) { CALL(k_chmod, 1, SYS_chmod, path, mode); }
int fchmod(int file, mode_t mode) { CALL(k_fchmod, 1, SYS_fchmod, file, mode); }
int chown(const char* path, uid_t owner, gid_t group) { CALL(k_chown, 1, SYS_chown, path, owner, group); }
int fchown(int file, uid_t owner, gid_t group) { CALL(k_fchown, 1, SYS_fchown, file, owner, group); }
int utimensat(int folder, const char* path, const struct timespec times[2], int flags) {
  CALL(k_utimensat, 1, SYS_utimensat, folder, path, times, flags);
}
ssize_t getxattr(const char* path, const char* name, void* into, size_t size) {
  CALL(k_getxattr, 0, SYS_getxattr, path, name, into, size);
}
int fsetxattr(int file, const char* name, const void* from, size_t size, int flags) {
  CALL(k_fsetxattr, 1, SYS_fsetxattr, file, name, from, size, flags);
}
int stat(const char* path, struct stat* into) { CALL(k_stat, 0, SYS_newfstatat, AT_FDCWD, path, into, 0); }
int stat64(const char* path, struct stat64* into) { CALL(k_stat, 0, SYS_newfstatat, AT_FDCWD, path, into, 0); }
int lstat(const char* path, struct stat* into) {
  CALL(k_lstat, 0, SYS_newfstatat, AT_FDCWD, path, into, AT_SYMLINK_NOFOLLOW);
}
int lstat64(const char* path, struct stat64* into) {
  CALL(k_lstat, 0, SYS_newfstatat, AT_FDCWD, path, into, AT_SYMLINK_NOFOLLOW);
}
int fstat(int file, struct stat* into) { CALL(k_fstat, 0, SYS_fstat, file, into); }
int fstat64(int file, struct stat64* into) { CALL(k_fstat, 0, SYS_fstat, file, into); }
int fstatat(int folder, const char* path, struct stat* into, int flags) {
  CALL(k_fstatat, 0, SYS_newfstatat, folder, path, into, flags);
}
int fstatat64(int folder, const char* path, struct stat64* into, int flags) {
  CALL(k_fstatat, 0, SYS_newfstatat, folder, path, into, flags);
}
ssize_t readlink(const char* path, char* into, size_t size) { CALL(k_readlink, 0, SYS_readlink, path, into, size); }
ssize_t __readlink_chk(const char* path, char* into, size_t size, size_t room) {
  (void)room;
  return readlink(path, into, size);
}
int posix_fadvise(int file, off_t at, off_t size, int advice) {
  return meets(k_fadvise, 0) ? wanted_errno : (int)syscall(SYS_fadvise64, file, at, size, advice);
}
int posix_fadvise64(int file, off64_t at, off64_t size, int advice) { return posix_fadvise(file, at, size, advice); }

/* The C library's own, where there is more to do than a system call. */
static void* real(const char* name) { return dlsym(RTLD_NEXT, name); }
struct dirent* readdir(DIR* folder) {
  if (meets(k_readdir, 0)) return NULL;
  return ((struct dirent * (*)(DIR*)) real("readdir"))(folder);
}
struct dirent64* readdir64(DIR* folder) {
  if (meets(k_readdir, 0)) return NULL;
  return ((struct dirent64 * (*)(DIR*)) real("readdir64"))(folder);
}
DIR* fdopendir(int file) {
  if (meets(k_fdopendir, 0)) return NULL;
  return ((DIR * (*)(int)) real("fdopendir"))(file);
}
char* realpath(const char* path, char* into) {
  if (meets(k_realpath, 0)) return NULL;
  return ((char* (*)(const char*, char*))real("realpath"))(path, into);
}
int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*), void* argument) {
  if (meets(k_pthread_create, 0)) return wanted_errno;
  return ((int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*))real("pthread_create"))(
      thread, attributes, body, argument);
}
