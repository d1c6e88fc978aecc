"""What can go wrong on the way from a campaign file to queued mails.

ProducerError
├── AudienceUnreadable      the audience cannot be read, or not to its end
│   ├── DatabaseUnreachable its database does not answer, or lets us not in
│   │   └── DatabaseFileUnusable    it is a file that is not there, or that we may not read
│   ├── QueryFailed         its database refuses the query, or breaks off
│   └── KeyUnusable         its rows cannot be ordered by that key
├── AudienceEmpty           it holds nobody that mail could be sent to
├── AudienceChanged         it is not the file, or the query, that the launch began with
├── CampaignChanged         the campaign file or a template is not what the launch began with
├── CampaignExists          a campaign of this id is planned already
├── CampaignInterrupted     the same campaign was begun under another id
├── PlanLost                nobody knows any more whom an interrupted launch had planned
├── CampaignUnrenderable    not one of the first recipients' mails can be made
├── RejectsUnwritable       there is no place for the report of unusable rows
└── LaunchedElsewhere       another process is launching this campaign
"""


class ProducerError(Exception):
    """A campaign cannot be launched; the message says why and what to do."""


class AudienceUnreadable(ProducerError):
    """The audience cannot be read. Check the path, the format and the encoding, or export the file again."""


class DatabaseUnreachable(AudienceUnreadable):
    """The database of the audience cannot be reached. Check its address, user and password in the settings."""


class DatabaseFileUnusable(DatabaseUnreachable):
    """The file of the audience's database is not there, or cannot be read. Check its path in the settings."""


class QueryFailed(AudienceUnreadable):
    """The database of the audience refuses the query, or broke off. It says itself why."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        """Of the query, from 1, where the database says it."""


class KeyUnusable(AudienceUnreadable):
    """The audience's rows cannot be ordered by the key. Name another column in `key`."""


class AudienceEmpty(ProducerError):
    """The audience holds nobody that mail could be sent to. Look at the rejects file."""


class AudienceChanged(ProducerError):
    """The audience is not the file, or the query, that this launch began with. Put that back, or cancel the campaign."""


class CampaignChanged(ProducerError):
    """The campaign is not what this launch began with. Put the files back, or cancel the campaign."""


class CampaignExists(ProducerError):
    """A campaign of this id is planned already. Give the new one an id of its own."""


class CampaignInterrupted(ProducerError):
    """A campaign of this name and audience was begun under another id and not planned to its end.

    Set that `id` in the campaign file to go on with it, or cancel it: under a new id the same people would be planned again.
    """


class LaunchedElsewhere(ProducerError):
    """Another process is launching this campaign. Let it finish, or stop it first."""


class PlanLost(ProducerError):
    """Whom this launch had planned is not known any more, so it might plan people twice. Cancel the campaign."""


class CampaignUnrenderable(ProducerError):
    """The mails of the first recipients cannot be rendered. `jetpost check` and `jetpost preview` show why."""


class RejectsUnwritable(ProducerError):
    """Unusable rows could not be reported. Set `rejects_dir` to a folder that can be written to."""
