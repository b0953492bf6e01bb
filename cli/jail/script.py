"""The scripts as text: POSIX sh, run as root, again and again if need be.

The values stand at the head, quoted; what follows them is the same for every jail, so that who has read
one script has read all of them. Guarantees of the making script: it takes over no account that it did not
make; a login works only after sshd was shown to close the jail; it checks its own result. Of the removing
script: nothing in the mailbox is changed. Known limit: GNU or busybox stat, and shadow's useradd.
"""

from __future__ import annotations

import shlex
from typing import Final

from cli.jail.plan import PROCESSES, QUOTA_FILES, SSHD_FOLDER, JailPlan, checked, fragment

_COMMON: Final = r"""
mark="exchanged jail"
config=$sshd_dir/sshd_config
fragment_file=$sshd_dir/accounts.d/$account.conf
keys_file=$sshd_dir/keys/$account
unit=exchanged-sshd.service

say() { printf '%s\n' "$*"; }

stop() {
    printf 'stopped: %s\n' "$*" >&2
    exit 1
}

# A daemon that runs reads its keys and accounts at every login, its configuration only when told.
reload() {
    if [ "$manages_unit" = no ]; then
        say "sshd: tell the server of $config to read its configuration again"
    elif command -v systemctl >/dev/null 2>&1 && systemctl is-active --quiet "$unit"; then
        systemctl reload "$unit"
        say "sshd: $unit read its configuration again"
    else
        say "sshd: $unit does not run here; it reads the new configuration when it starts"
    fi
}

require_ours() {
    [ "$(printf '%s\n' "$1" | cut -d: -f5)" = "$mark" ] ||
        stop "the account $account exists and is none of ours: set another name as account in [[link]] $link"
}

[ "$(id -u)" -eq 0 ] || stop "root must run this"
"""

_MAKE: Final = r"""
sshd=$(command -v sshd) || stop "the SSH server program (sshd) is missing: install openssh-server"
getent passwd "$service" >/dev/null ||
    stop "the service user $service is missing: make it first (systemd-sysusers, or useradd --system)"
service_group=$(id -gn "$service")
[ "$(id -u "$service")" -ne 0 ] || stop "the service user $service is root"
getent passwd "$keys_user" >/dev/null ||
    stop "the user $keys_user of the key command is missing: run systemd/install.sh, or useradd --system"
[ "$(id -u "$keys_user")" -ne 0 ] || stop "the user $keys_user of the key command is root"
if [ -d "$data_dir" ] && [ "$(stat -c %U "$data_dir")" != "$service" ]; then
    stop "$data_dir is not of $service: chown -R $service: $data_dir, or name its owner with --service"
fi

# --- account and group, locked out of everything but keys ---

nologin=/bin/false
for shell in /sbin/nologin /usr/sbin/nologin; do
    if [ -x "$shell" ]; then nologin=$shell; fi
done
if entry=$(getent passwd "$account"); then
    require_ours "$entry"
    say "account $account: there"
else
    getent group "$account" >/dev/null || groupadd --system "$account"
    useradd --system --gid "$account" --no-create-home --home-dir / --shell "$nologin" \
        --comment "$mark" --password '*' "$account"
    say "account $account: made"
fi
[ "$(id -u "$account")" -ne 0 ] || stop "the account $account is root"
if [ "$(id -nG "$account")" != "$account" ]; then
    usermod --gid "$account" --groups '' "$account"
    say "account $account: its one group is $account"
fi
# '*' is no password and no lock: only keys let in. A '!' would be a lock.
if [ "$(getent shadow "$account" | cut -d: -f2,8)" != '*:' ]; then
    usermod --password '*' --expiredate '' "$account"
    say "account $account: no password, no expiry"
fi
[ "$(getent passwd "$account" | cut -d: -f7)" = "$nologin" ] || usermod --shell "$nologin" "$account"

# --- folders and bell ---

seen() { stat -c '%U:%G %a' "$1"; }

# own PATH KIND OWNER:GROUP MODE
own() {
    [ ! -L "$1" ] || stop "$1 is a symbolic link: look who made it, and remove it"
    if [ "$2" = folder ] && [ ! -d "$1" ]; then
        [ ! -e "$1" ] || stop "$1 is no folder: look what it is, and remove it"
        mkdir -m 0700 "$1"
        say "$1: made"
    elif [ "$2" = fifo ] && [ ! -p "$1" ]; then
        [ ! -e "$1" ] || stop "$1 is no FIFO: look what it is, and remove it"
        mkfifo -m 0600 "$1"
        say "$1: made"
    fi
    if [ "$(seen "$1")" != "$3 $4" ]; then
        # A new owner may take the set-group bit away, so the mode comes last; and a number alone would
        # leave that bit on a folder.
        chown -h "$3" "$1"
        chmod a-s,-t "$1"
        chmod "$4" "$1"
        say "$1: now $3 $4"
    fi
}

mkdir -p "$(dirname "$jail")"
way=$(dirname "$jail")
while :; do
    [ -z "$(find "$way" -maxdepth 0 \( ! -user root -o -perm /022 \))" ] ||
        stop "$way must be a folder of root that nobody else may write to, or sshd refuses the jail"
    [ "$way" != / ] || break
    way=$(dirname "$way")
done
own "$jail" folder root:root 755
# An account that was removed and made again has a new number; what its old one left is still its own.
if [ -d "$jail/up" ] && [ ! -L "$jail/up" ]; then
    old=$(stat -c %u "$jail/up")
    if ! getent passwd "$old" >/dev/null; then
        find "$jail/up" -xdev -maxdepth 1 -type f -links 1 -user "$old" -exec chown -h "$account" {} +
    fi
fi
own "$jail/up" folder "$account:$service_group" 2770
own "$jail/down" folder "$service:$account" 2750
own "$jail/bell" fifo "$service:$account" 640
# What the daemon wrote before there was a jail.
find "$jail/down" -xdev -maxdepth 1 -type f -links 1 -user "$service" ! -group "$account" \
    -exec chgrp -h "$account" {} + -exec chmod 0640 {} +

# --- quota ---

volume=$(stat -c %m "$jail/up")
[ "$quota_kib" -gt 0 ] || quota_files=0
if command -v setquota >/dev/null 2>&1 && quotaon -pu "$volume" 2>/dev/null | grep -q ' is on'; then
    setquota -u "$account" "$quota_kib" "$quota_kib" "$quota_files" "$quota_files" "$volume"
    say "quota: $quota_kib KiB and $quota_files files on $volume (0 is no limit)"
elif [ "$quota_kib" -eq 0 ]; then
    say "quota: none wanted; $account can fill $volume"
else
    say "NO QUOTA: user quotas are off on $volume, so $account can fill it."
    say "    Turn them on (package quota, mount option usrquota) and run this again, or mount a volume of"
    say "    its own size at $jail/up."
fi
if [ -d "$data_dir" ] && [ "$(stat -c %d "$data_dir")" = "$(stat -c %d "$jail/up")" ]; then
    say "WARNING: $jail/up lies on the volume of ledger and spool: who fills the one stops the other"
fi

# --- who answers for sshd which keys open the account ---

# sshd looks at the first word only, and not at what that starts.
for word in $keys_asks; do
    case $word in
    --config) break ;;
    /*) program=$(readlink -f "$word") || stop "$word is missing" ;;
    *) continue ;;
    esac
    while :; do
        [ -z "$(find "$program" -maxdepth 0 \( ! -user root -o -perm /022 \))" ] ||
            stop "$program must be of root and writable by nobody else, or sshd refuses the key command"
        [ "$program" != / ] || break
        program=$(dirname "$program")
    done
done
if command -v setpriv >/dev/null 2>&1; then
    as_keys_user() {
        (cd / && env -i PATH="$PATH" setpriv --reuid "$keys_user" --regid "$(id -g "$keys_user")" \
            --init-groups -- "$@")
    }
    # What it cannot see it takes for no directory, and closes every account.
    way=$door
    while [ -n "$way" ] && [ ! -e "$way" ]; do way=$(dirname "$way"); done
    [ -z "$way" ] || as_keys_user test -x "$way" ||
        stop "$keys_user cannot look into $door: set [node] door to /srv/exchanged/doors/NAME (NAME as that of
    the configuration), restart the node, and run this again"
    # shellcheck disable=SC2086 # words without blanks, as sshd takes them apart
    heard=$(as_keys_user $keys_asks "$account" 2>&1) ||
        stop "$keys_user cannot run the key command: $heard"
    say "keys: $(printf '%s' "$heard" | grep -c .) open the account now, by directory or keys file"
fi

# --- sshd: the fragment, shown to be in force, then the keys ---

# put PATH OWNER:GROUP MODE TEXT, whole or not at all; 1 when it was so already
put() {
    if [ -f "$1" ] && [ "$(cat "$1")" = "$4" ] && [ "$(seen "$1")" = "$2 $3" ]; then return 1; fi
    new=$(dirname "$1")/.$account.new
    # Joined by hand: where a function's answer is asked for, the shell does not stop at a failure in it.
    if ! { rm -f "$new" && (umask 077 && printf '%s\n' "$4" >"$new") && chown "$2" "$new" &&
        chmod "$3" "$new" && mv -f "$new" "$1"; }; then
        stop "$1 cannot be written"
    fi
    say "$1: written"
}

mkdir -p "$sshd_dir/accounts.d" "$sshd_dir/keys"
# Without the system's own SSH server nobody has made the folder that sshd asks for when it looks at a
# configuration as root.
[ -d /run/sshd ] || mkdir -m 0755 /run/sshd
if printf 'UnusedConnectionTimeout 60\n' | "$sshd" -t -f /dev/stdin 2>&1 | grep -q 'Bad configuration option'
then
    fragment=$(printf '%s\n' "$fragment" | grep -v UnusedConnectionTimeout)
    say "sshd: older than 9.2, cannot end connections that ask for nothing"
fi
before=
[ ! -f "$fragment_file" ] || before=$(cat "$fragment_file")
changed=no
if put "$fragment_file" root:root 644 "$fragment"; then changed=yes; fi

back() {
    if [ -n "$before" ]; then
        put "$fragment_file" root:root 644 "$before" || :
    else
        rm -f "$fragment_file"
    fi
    stop "$1; the fragment is as it was before"
}

include="$config must end with: Include $sshd_dir/accounts.d/*.conf"
if [ -f "$config" ]; then
    told=$("$sshd" -t -f "$config" 2>&1) || back "sshd refuses its configuration: $told"
    in_force=$("$sshd" -T -f "$config" -C "user=$account,host=localhost,addr=127.0.0.1") ||
        back "sshd cannot say what holds for $account"
    for line in "chrootdirectory $jail" "forcecommand $sftp" "authorizedkeysfile none" \
        "authorizedkeyscommand $keys_command" "authorizedkeyscommanduser $keys_user" \
        "disableforwarding yes" "permittty no" "permittunnel no" "passwordauthentication no"; do
        printf '%s\n' "$in_force" | grep -qxF "$line" ||
            back "sshd would not close the jail of $account: it lacks \"$line\"; $include"
    done
    # Always where it costs nothing: an earlier run may have ended before it came to this.
    if [ "$changed" = yes ] || [ "$manages_unit" = yes ]; then reload; fi
else
    say "sshd: there is no $config yet; $include"
fi
if [ -n "$keys" ]; then
    put "$keys_file" "root:$(id -gn "$keys_user")" 640 "$keys" || say "$keys_file: there"
elif [ -f "$keys_file" ]; then
    chown "root:$(id -gn "$keys_user")" "$keys_file"
    chmod 0640 "$keys_file"
else
    say "keys: no file of its own; those open the account that the directory lists for its node"
fi
if [ "$manages_unit" = yes ] && command -v systemctl >/dev/null 2>&1; then
    limit=$(systemctl show --property LimitNPROC --value "$unit" 2>/dev/null || :)
    case $limit in
    '' | infinity | ????*)
        say "NO LIMIT of processes for each account: set LimitNPROC=$processes in $unit" ;;
    *) say "processes: at most $limit for each account, by $unit" ;;
    esac
fi

# --- look at the result, as the account itself where that is possible ---

check() { [ "$(seen "$1")" = "$2" ] || stop "$1: expected $2, found $(seen "$1")"; }

check "$jail" "root:root 755"
check "$jail/up" "$account:$service_group 2770"
check "$jail/down" "$service:$account 2750"
check "$jail/bell" "$service:$account 640"
[ -p "$jail/bell" ] || stop "$jail/bell is no FIFO"
if command -v setpriv >/dev/null 2>&1; then
    can() { (cd / && setpriv --reuid "$account" --regid "$account" --clear-groups test "$1" "$2"); }
    for path in "$jail" "$jail/down" "$jail/bell" "$sshd_dir" "$keys_file"; do
        if can -w "$path"; then stop "$account can write $path"; fi
    done
    if [ -d "$data_dir" ] && can -r "$data_dir"; then
        stop "$account can read $data_dir: chmod o= $data_dir"
    fi
    can -w "$jail/up" || stop "$account cannot write $jail/up"
    can -r "$jail/bell" || stop "$account cannot read $jail/bell"
fi
say "sound: $jail is the jail of $account; in [[link]] $link of the node: account = \"$account\""
"""

_REMOVE: Final = r"""
# The key first: from here on nobody logs in. The fragment last: nobody may ever log in without it.
rm -f "$keys_file"
say "$keys_file: gone"
if entry=$(getent passwd "$account"); then
    require_ours "$entry"
    number=$(id -u "$account")
    usermod --lock --expiredate 1 "$account"
    say "account $account: locked"
    processes() {
        grep -l "^Uid:[[:space:]]*${number}[[:space:]]" /proc/[0-9]*/status 2>/dev/null | cut -d/ -f3
    }
    tries=0
    while [ -n "$(processes)" ]; do
        [ "$tries" -lt 10 ] || stop "processes of $account do not end: $(processes | tr '\n' ' ')"
        # shellcheck disable=SC2046 # one word for each process
        kill -KILL $(processes) 2>/dev/null || :
        tries=$((tries + 1))
        sleep 1
    done
    userdel "$account" >/dev/null
    if getent group "$account" >/dev/null; then groupdel "$account"; fi
    say "account $account: removed; it was number $number"
else
    say "account $account: not there"
fi
if [ -f "$fragment_file" ]; then
    rm -f "$fragment_file"
    say "$fragment_file: gone"
    reload
fi
if [ -d "$jail" ]; then
    for direction in up down; do
        count=$(find "$jail/$direction" -maxdepth 1 -type f 2>/dev/null | wc -l)
        say "$jail/$direction: untouched, files: $((count))"
    done
fi
say "the node tells link $link as down until [[link]] $link has no account, or goes"
"""


def making_script(plan: JailPlan) -> str:
    """The script that makes the jail, or mends it. Raises JailPlanError for a value of no safe form."""
    head = _head(plan, "Makes, or mends, the jail of")
    values = {
        "service": plan.service,
        "data_dir": str(plan.data_dir),
        "quota_kib": str(plan.quota_gib * 1024 * 1024),
        "quota_files": str(QUOTA_FILES),
        "processes": str(PROCESSES),
        "fragment": fragment(plan).rstrip("\n"),
        "sftp": _forced(plan),
        "keys": "\n".join(f"restrict {line}" for line in plan.keys),
        "keys_user": plan.keys_user,
        "door": str(plan.door or ""),
        "keys_command": " ".join((*plan.keys_command, "%u")),
        "keys_asks": " ".join(plan.keys_command).replace("%u", plan.account),
    }
    return head + _assigned(values) + _whole(_MAKE)


def removing_script(plan: JailPlan) -> str:
    """The script that takes the account away and leaves the mailbox. Raises as ``making_script``."""
    return _head(plan, "Locks and removes, and leaves what lies in its mailbox,") + _whole(_REMOVE)


def _whole(acts: str) -> str:
    """As one function: a script that arrives cut off does nothing, and no command reads the rest of it."""
    return f"\nmain() {{\n{_COMMON}{acts}}}\n\nmain </dev/null\n"


def _head(plan: JailPlan, what: str) -> str:
    checked(plan)
    values = {
        "link": plan.link,
        "account": plan.account,
        "jail": str(plan.jail),
        "sshd_dir": str(plan.sshd),
        "manages_unit": "yes" if plan.sshd == SSHD_FOLDER else "no",
    }
    return (
        "#!/bin/sh\n"
        f"# {what} the account {plan.account}: link {plan.link} of node {plan.node}.\n"
        "# Run as root; running it again is fine. Why each line: docs/jail.md\n\n"
        "set -eu\n"
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        "LC_ALL=C\n"
        "export PATH LC_ALL\n"
        "umask 022\n\n" + _assigned(values)
    )


def _assigned(values: dict[str, str]) -> str:
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _forced(plan: JailPlan) -> str:
    """The forced command as the fragment says it, for the comparison with what sshd says."""
    lines = (line.strip() for line in fragment(plan).splitlines())
    return next(line.partition(" ")[2] for line in lines if line.startswith("ForceCommand "))
