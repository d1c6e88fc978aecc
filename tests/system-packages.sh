#!/bin/sh
# Installs the Debian packages that some tests need: Postfix (a real relay and smtp-sink) and Chromium (the dashboard).
# Elsewhere, or without root, it says which tests will be skipped. Postfix is installed without any configuration, so that
# no mail server starts.
set -eu
missing=""
[ -x /usr/sbin/smtp-sink ] || missing="$missing postfix"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed, and not to be installed from here:$missing. Tests that need them are skipped." >&2
    exit 0
fi
echo "Installing$missing for the tests ..."
export DEBIAN_FRONTEND=noninteractive
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
apt-get update -qq
# shellcheck disable=SC2086 # one word per package
apt-get install -y -qq --no-install-recommends $missing >/dev/null
