"""What can go wrong between analytics and ClickHouse.

AnalyticsError
├── ClickHouseUnavailable    the same call may succeed later; nothing was lost
│   └── PartVanished             the same question may be answered at once
├── ClickHouseRefused        it will fail again: the statement, the schema or the rights are wrong
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


class SettingInvalid(AnalyticsError):
    """A setting cannot be used as it stands; the message names it and the fix."""
