#!/bin/sh
# A machine of its own within this one: a journal, the systemd of one login, and an SSH server.
#
# Runs as the first process of a process and a mount namespace: when it ends, all of it ends, and
# nothing that is mounted here is seen outside. Wants FOLDER, ACCOUNT, NUMBER, and of Python
# PROJECT, PACKAGES and PYTHON_HOME, which the login might not reach where they are: HIDDEN is the
# folder above PYTHON_HOME that keeps it out, if any does.
set -eu

mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/folder /mnt/project /mnt/packages /mnt/python /mnt/home
mount --bind "$FOLDER" /mnt/folder
FOLDER=/mnt/folder
mount --bind "$PROJECT" /mnt/project
mount --bind "$PACKAGES" /mnt/packages
mount --bind "$PYTHON_HOME" /mnt/python
mount --bind "$FOLDER/home" /mnt/home
if [ -n "$HIDDEN" ]; then
  # Its libraries are looked for where it was built to be.
  mount -t tmpfs -o mode=755 tmpfs "$HIDDEN"
  mkdir -p "$PYTHON_HOME"
  mount --bind /mnt/python "$PYTHON_HOME"
fi
mount --bind "$FOLDER/etc/passwd" /etc/passwd
mount --bind "$FOLDER/etc/group" /etc/group
mount --bind "$FOLDER/etc/shadow" /etc/shadow

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/systemd/system /run/systemd/journal /run/log /run/sshd /run/user
mkdir -m 700 "/run/user/$NUMBER"
chown "$NUMBER:$NUMBER" "/run/user/$NUMBER"
mkdir -p /var/log /var/lib/systemd
mount -t tmpfs -o mode=755 tmpfs /var/log
mount -t tmpfs -o mode=755 tmpfs /var/lib/systemd
mkdir -p /var/log/journal /var/lib/systemd/linger

# A control group that the login may divide, in every tree that systemd looks at. Its name is the one
# by which the journal knows whose unit a line is from.
grep -q ' cgroup2\? ' /proc/self/mounts || mount -t cgroup2 cgroup2 /sys/fs/cgroup
groups=""
while read -r _ place kind options _; do
  case "$kind $options" in
    "cgroup2 "* | "cgroup "*name=systemd*)
      group="$place/user@$NUMBER.service"
      mkdir -p "$group" 2>/dev/null || { mount -o remount,bind,rw "$place" && mkdir -p "$group"; }
      chown -R "$NUMBER:$NUMBER" "$group"
      groups="$groups $group"
      echo "$group" >>"$FOLDER/groups"
      ;;
  esac
done </proc/self/mounts

# Kept on a disk, as far as the journal knows: only then may a login read its own.
: >/run/systemd/journal/flushed
/lib/systemd/systemd-journald >"$FOLDER/journald.log" 2>&1 &

tries=0
until [ -S /run/systemd/journal/stdout ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 200 ] || { echo "no journal" >&2; exit 1; }
  sleep 0.05
done
(
  for group in $groups; do echo 0 >"$group/cgroup.procs"; done
  exec setpriv --reuid "$NUMBER" --regid "$NUMBER" --clear-groups \
    env -i HOME=/mnt/home USER="$ACCOUNT" LOGNAME="$ACCOUNT" SHELL=/bin/sh LANG=C.UTF-8 \
    PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR="/run/user/$NUMBER" \
    SYSTEMD_LOG_TARGET=journal \
    /lib/systemd/systemd --user
) >"$FOLDER/manager.log" 2>&1 &
manager=$!

/usr/sbin/sshd -D -e -f "$FOLDER/etc/sshd_config" >"$FOLDER/sshd.log" 2>&1 &

tries=0
until [ -S "/run/user/$NUMBER/systemd/private" ]; do
  tries=$((tries + 1))
  kill -0 "$manager" 2>/dev/null || { cat "$FOLDER/manager.log" >&2; exit 1; }
  [ "$tries" -lt 200 ] || { echo "no manager" >&2; exit 1; }
  sleep 0.05
done
: >"$FOLDER/ready"
wait "$manager"
