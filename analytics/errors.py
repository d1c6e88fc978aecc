"""What can go wrong between analytics and ClickHouse, or a mailbox.

AnalyticsError
├── ClickHouseUnavailable    the same call may succeed later; nothing was lost
│   └── PartVanished             the same question may be answered at once
├── ClickHouseRefused        it will fail again: the statement, the schema or the rights are wrong
├── MailboxAway              bounce mail cannot be read now; it stays where it is
├── MailboxRefused           it will fail again: a setting is wrong
└── SettingInvalid           a setting cannot be used as it stands
"""


class AnalyticsError(Exception):
    """Analytics could not do what was asked."""


class ClickHouseUnavailable(AnalyticsError):
    """ClickHouse cannot do it now (no connection, overloaded, out of memory or space). Nothing was lost: ask again."""


class PartVanished(ClickHouseUnavailable):
    """A file of the table was gone at the moment of reading, as after a merge. The same question may be answered now."""


class ClickHouseRefused(AnalyticsError):
    """ClickHouse refuses the statement and will refuse it again. Check schema, rights and release."""


class MailboxAway(AnalyticsError):
    """The IMAP server cannot do it now. Nothing was lost: ask again."""


class MailboxRefused(AnalyticsError):
    """The IMAP server refuses what the settings say; the message names the setting and the fix."""


class SettingInvalid(AnalyticsError):
    """A setting cannot be used as it stands; the message names it and the fix."""
