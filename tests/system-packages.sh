#!/bin/sh
# Gets the Debian packages that some tests need: Postfix (a real relay and smtp-sink), Chromium (the dashboard) and iproute2
# (hosts of one's own) are installed, Postfix without any configuration, so that no mail server starts. Exim and OpenSMTPD would drive Postfix out
# and are only unpacked into .cache/mtas, with saslpasswd2 for Postfix's AUTH and opendkim, whose package would start it;
# what they link with is installed.
# Prometheus and Dovecot, which would start as well, are unpacked beside them. A root file system with Python and nothing
# else, as the image has it, is unpacked into .cache/root.
# Elsewhere, or without root, it says which tests will be skipped.
set -eu
cd "$(dirname "$0")/.."
folder=.cache/mtas
root=.cache/root
missing=""
[ -x /usr/sbin/smtp-sink ] || missing="$missing postfix"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
command -v ip >/dev/null || missing="$missing iproute2"
unpacked=""
[ -x $folder/usr/sbin/exim4 ] || unpacked="$unpacked exim4-daemon-light"
[ -x $folder/usr/sbin/smtpd ] || unpacked="$unpacked opensmtpd"
[ -x $folder/usr/sbin/saslpasswd2 ] || unpacked="$unpacked sasl2-bin"
[ -x /usr/sbin/opendkim ] || [ -x $folder/usr/sbin/opendkim ] || unpacked="$unpacked opendkim"
[ -x $folder/usr/lib/dovecot/imap ] || unpacked="$unpacked dovecot-core dovecot-imapd"
[ -x $folder/usr/bin/promtool ] || [ -x /usr/bin/promtool ] || unpacked="$unpacked prometheus"
rooted=""
[ -x $root/usr/bin/python3.11 ] || rooted="base-files libbz2-1.0 libc6 libcrypt1 libexpat1 libffi8 libgcc-s1 liblzma5 libpython3.11-minimal
    libpython3.11-stdlib libsqlite3-0 libssl3 libstdc++6 libuuid1 python3.11-minimal tzdata zlib1g"
[ -n "$missing$unpacked$rooted" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not there, and not to be had from here:$missing$unpacked${rooted:+ a root of Debian packages}. Tests that need them are skipped." >&2
    exit 0
fi
echo "Getting$missing$unpacked${rooted:+ a root of Debian packages} for the tests ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
if [ -n "$unpacked" ]; then
    # shellcheck disable=SC2086 # one word per package
    libraries=$(apt-cache depends $unpacked | sed -n 's/^  Depends: \(lib[^ ]*\)$/\1/p' | grep -v '^libjs-' | sort -u)
    missing="$missing $libraries libsasl2-modules"
fi
if [ -n "$missing" ]; then
    echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
    # shellcheck disable=SC2086 # the same
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
mkdir -p $folder/packages
for package in $unpacked; do
    (cd $folder/packages && apt-get download -qq -o APT::Sandbox::User=root "$package")
    dpkg -x $folder/packages/"$package"_*.deb $folder
done
[ ! -d $folder/usr ] || chmod -R u-s,g-s $folder/usr
for package in $rooted; do
    (cd $folder/packages && apt-get download -qq -o APT::Sandbox::User=root "$package")
    dpkg -x $folder/packages/"$package"_*.deb $root
done
