#!/bin/sh
# Puts the units, accounts and folders of the exchange in place; as root, from an unpacked source archive:
#
#     sudo systemd/install.sh            on this machine: also makes accounts and folders, starts nothing
#     systemd/install.sh DESTDIR         below DESTDIR only, for packages and images
#
# Again is fine: units are replaced, and so is an sshd_config as an earlier version put it here (its digest lies
# beside it as .installed); one that was changed here stays, and the new one is put beside it as .new.
# Afterwards: a configuration /etc/exchanged/NAME.toml, then `systemctl enable --now exchanged@NAME`; where
# neighbours dial in, `systemctl enable --now exchanged-sshd`.
set -eu
# Services of several users read what is made here, whatever the umask of root is.
umask 022

here=$(cd -- "$(dirname -- "$0")" && pwd -P)
destination=${1-}

say() { printf 'install: %s\n' "$*"; }

put() { # put FILE TARGET
    target=$destination$2
    mkdir -p -- "$(dirname -- "$target")"
    if [ -e "$target" ] && cmp -s -- "$here/$1" "$target"; then return; fi
    install -m 0644 -- "$here/$1" "$target"
    say "$2"
}

for unit in 'exchanged@.service' exchanged-sshd.service exchanged-sshd-hostkey.service \
    'exchanged-doors@.service' 'exchanged-doors@.path' 'exchanged-doors@.timer'; do
    put "$unit" "/etc/systemd/system/$unit"
done
put exchanged.sysusers.conf /etc/sysusers.d/exchanged.conf
put exchanged.tmpfiles.conf /etc/tmpfiles.d/exchanged.conf

digest() { sha256sum <"$1"; }

config=/etc/exchanged/sshd/sshd_config
mark=$destination$config.installed
if [ -e "$destination$config" ] && ! cmp -s -- "$here/sshd_config" "$destination$config" &&
    ! { [ -e "$mark" ] && [ "$(digest "$destination$config")" = "$(cat -- "$mark")" ]; }; then
    put sshd_config "$config.new"
    say "$config was changed here and stays; compare it with $config.new"
else
    put sshd_config "$config"
    digest "$here/sshd_config" >"$mark"
fi

if [ -n "$destination" ]; then exit 0; fi

systemd-sysusers exchanged.conf
systemd-tmpfiles --create exchanged.conf

# From OpenSSH 9.8 on an address is shut out for what one of the neighbours behind it does wrong; all of a
# province may come from one address. Older versions do not know the word.
penalties=/etc/exchanged/sshd/sshd_config.d/10-penalties.conf
if [ ! -e "$penalties" ] && [ -x /usr/sbin/sshd ]; then
    # Whatever else it complains of (no host key), a word that it does not know is named.
    case $(/usr/sbin/sshd -t -f /dev/null -o PerSourcePenalties=no 2>&1 || :) in
    *PerSourcePenalties*) ;;
    *)
        printf 'PerSourcePenalties no\n' >"$penalties"
        say "$penalties"
        ;;
    esac
fi

if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
say "done; nothing was started"
