/* test_cli_watch.c - what the watcher concludes from /proc/PID/maps. */
#include <criterion/criterion.h>

#include "../../preload/cli/watch.h"

#define EXE "55d0-55d1 r-xp 0 08:01 1      /usr/bin/curl\n"
#define LOADER "7f00-7f01 r-xp 0 08:01 2      /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n"
#define OURS "7f02-7f03 r-xp 0 08:01 3      /opt/m/libmtlswrap.so\n"
#define LIBC "7f04-7f05 r-xp 0 08:01 4      /usr/lib/x86_64-linux-gnu/libc.so.6\n"
#define STACK "7ffe-7fff rw-p 0 00:00 0      [stack]\n"

static enum watch_sight see(const char *maps) {
    return watch_sight(maps, "/usr/bin/curl", "/opt/m/libmtlswrap.so");
}

Test(cli_watch, before_the_loader_has_done_anything) {
    cr_assert_eq(see(""), WATCH_EARLY);
    cr_assert_eq(see(STACK), WATCH_EARLY);
    cr_assert_eq(see(EXE LOADER STACK), WATCH_EARLY);
}

Test(cli_watch, loaded) {
    cr_assert_eq(see(EXE LOADER OURS STACK), WATCH_LOADED);
    cr_assert_eq(see(EXE LIBC LOADER OURS STACK), WATCH_LOADED);
}

Test(cli_watch, another_object_without_ours) {
    cr_assert_eq(see(EXE LIBC LOADER STACK), WATCH_WITHOUT);
    cr_assert_eq(see(LIBC), WATCH_WITHOUT);
}

Test(cli_watch, a_program_that_is_itself_called_like_an_object) {
    const char *maps = "1-2 r-xp 0 08:01 1 /srv/plugin.so\n" LOADER;
    cr_assert_eq(watch_sight(maps, "/srv/plugin.so", "/opt/m/libmtlswrap.so"), WATCH_EARLY);
    cr_assert_eq(watch_sight(maps, "/srv/other", "/opt/m/libmtlswrap.so"), WATCH_WITHOUT);
}

Test(cli_watch, last_line_without_newline) {
    cr_assert_eq(see(EXE "7f04-7f05 r-xp 0 08:01 4 /usr/lib/libc.so.6"), WATCH_WITHOUT);
}
