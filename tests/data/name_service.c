/*
 * A name service for tests, to be preloaded: it returns the entries of the files `passwd` and `group` in the directory
 * $NAME_SERVICE, in the syntax of /etc/passwd and /etc/group, without judging it.
 *
 * Two lines are orders: `!errno N` fails with that number, `!wait` waits until the test opens the FIFO `gate` in that
 * directory for writing, and closes it again. A file `begin` with a number lets the beginning of each list fail with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct list {
    FILE *stream;
    char *line;
    size_t size;
};

static struct list users, groups;
static char **members;

static FILE *open_file(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("NAME_SERVICE"), name);
    return fopen(path, "re");
}

static void wait_at_the_gate(void)
{
    FILE *gate = open_file("gate");
    while (gate && fgetc(gate) != EOF)
        ;
    if (gate)
        fclose(gate);
}

static void rewind_list(struct list *list, const char *name)
{
    if (list->stream)
        fclose(list->stream);
    list->stream = name ? open_file(name) : NULL;
    FILE *begin = name ? open_file("begin") : NULL;
    if (name)
        errno = 0;
    if (begin && fscanf(begin, "%d", &errno) == 1)
        fclose(begin);
}

static char *next_line(struct list *list)
{
    int before = errno;
    ssize_t length = list->stream ? getline(&list->line, &list->size, list->stream) : -1;
    errno = before;
    if (length < 0)
        return NULL;
    list->line[strcspn(list->line, "\n")] = '\0';
    if (sscanf(list->line, "!errno %d", &errno) == 1)
        return NULL;
    if (strcmp(list->line, "!wait") != 0)
        return list->line;
    wait_at_the_gate();
    return next_line(list);
}

/* The next field; NULL after the last one, as the C library has it for an entry of NIS. */
static char *field(char **line)
{
    return strsep(line, ":");
}

static unsigned int number(char *field)
{
    return field ? (unsigned int)strtoul(field, NULL, 10) : 0;
}

void setpwent(void)
{
    rewind_list(&users, "passwd");
}

void endpwent(void)
{
    rewind_list(&users, NULL);
}

struct passwd *getpwent(void)
{
    static struct passwd user;
    char *line = next_line(&users);
    if (!line)
        return NULL;
    user.pw_name = field(&line);
    user.pw_passwd = field(&line);
    user.pw_uid = number(field(&line));
    user.pw_gid = number(field(&line));
    user.pw_gecos = field(&line);
    user.pw_dir = field(&line);
    user.pw_shell = field(&line);
    return &user;
}

void setgrent(void)
{
    rewind_list(&groups, "group");
}

void endgrent(void)
{
    rewind_list(&groups, NULL);
}

struct group *getgrent(void)
{
    static struct group group;
    char *line = next_line(&groups), *member;
    size_t count = 0;
    if (!line)
        return NULL;
    group.gr_name = field(&line);
    group.gr_passwd = field(&line);
    group.gr_gid = number(field(&line));
    members = realloc(members, (line ? strlen(line) + 2 : 2) * sizeof *members);
    while ((member = strsep(&line, ",")))
        if (*member)
            members[count++] = member;
    members[count] = NULL;
    group.gr_mem = members;
    return &group;
}
